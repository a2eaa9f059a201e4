//! Who reads the dashboards from elsewhere: whom a real API server knows, and who has the right.

mod lab;

use std::path::Path;
use std::time::Duration;

use testbed::{Testbed, eventually};

use self::lab::{FORGOTTEN, Lab, NAMESPACE, ORIGIN, SOON, cookie};

const ABOUT: &str = "/api/v1/about";

testbed::scenario! {
    #[ignore = "starts an API server"]
    within 400;
    async fn who_has_the_right_reads_and_nobody_else(bed: Testbed) -> anyhow::Result<()> {
        let mut lab = Lab::start(&bed, "access").await?;
        let viewer = lab.token("viewer", &[])?;
        let heard = lab.with_token(&viewer, ABOUT)?;
        assert_eq!(heard.status, 200, "{heard:?}");
        assert!(heard.text.contains(r#""scope":"fleet""#), "{heard:?}");
        assert_eq!(heard.header("cache-control"), "no-store");
        for path in ["/debug/status", "/debug/config", "/metrics", "/ready", "/config"] {
            assert_eq!(lab.with_token(&viewer, path)?.status, 404, "{path}");
        }
        let page = lab.curl(&[], "/ui/")?;
        assert!(!page.head.to_lowercase().contains("set-cookie"), "{page:?}");

        // Kubernetes lets every account get /api/*: that is no right to read a mesh.
        let other = lab.token("other", &[])?;
        let as_other = ["auth", "can-i", "get", "/api/v1/about", "--as=system:serviceaccount:ops:other",
            "--as-group=system:authenticated"];
        assert_eq!(lab.kubectl().run(&as_other)?.trim(), "yes", "or the paths need no prefix of ours");
        let heard = lab.with_token(&other, ABOUT)?;
        assert_eq!(heard.status, 403, "{heard:?}");
        for part in ["system:serviceaccount:ops:other", "/ambit.dev/api/v1/about", "ambit-dashboard-viewer"] {
            assert!(heard.text.contains(part), "{heard:?}");
        }

        // Good tokens, and not for us; and what is none.
        let elsewhere = lab.token("viewer", &["--audience", "https://kubernetes.default.svc"])?;
        // Not at its end, where a letter has bits that mean nothing.
        let (signed, signature) = viewer.rsplit_once('.').expect("a signature");
        let first = if signature.starts_with('A') { "B" } else { "A" };
        let forged = format!("{signed}.{first}{}", &signature[1..]);
        for (case, token) in [("of the API server", &elsewhere), ("forged", &forged)] {
            let heard = lab.with_token(token, ABOUT)?;
            assert_eq!(heard.status, 401, "{case}: {heard:?}");
            assert!(heard.text.contains("ambit-dashboard"), "{case}: {heard:?}");
        }
        let heard = lab.curl(&[], ABOUT)?;
        assert_eq!((heard.status, heard.header("www-authenticate").is_empty()), (401, false));
        let twice = format!("Authorization: Bearer {viewer}");
        assert_eq!(lab.curl(&["-H", &twice, "-H", &twice], ABOUT)?.status, 401, "two tokens");

        // A right that is taken away, and one that is given.
        lab.kubectl().run(&["delete", "clusterrolebinding", "viewer"])?;
        let gone = async || lab.with_token(&viewer, ABOUT).is_ok_and(|heard| heard.status == 403);
        eventually("the right is gone", FORGOTTEN, gone).await?;
        lab.kubectl().run(&["create", "clusterrolebinding", "viewer",
            "--clusterrole=ambit-dashboard-viewer", "--serviceaccount=ops:viewer"])?;
        let back = async || lab.with_token(&viewer, ABOUT).is_ok_and(|heard| heard.status == 200);
        eventually("the right is back", FORGOTTEN, back).await?;

        // The Service leads to the replica that answers.
        let slice = lab.kubectl().get(&["endpointslice", "ambit-dashboard-ipv4", "-n", NAMESPACE])?;
        assert_eq!(slice["endpoints"][0]["addresses"][0], "10.201.0.1");
        assert_eq!(slice["ports"][0]["port"], 15018);

        // Who is gone reads no more.
        lab.kubectl().run(&["delete", "serviceaccount", "viewer", "-n", "ops"])?;
        let gone = async || lab.with_token(&viewer, ABOUT).is_ok_and(|heard| heard.status == 401);
        eventually("the account is gone", FORGOTTEN, gone).await?;

        // Without an API server nobody is let in.
        lab.server.kill("kube-apiserver")?;
        let refused = async || lab.with_token(&other, ABOUT).is_ok_and(|heard| heard.status == 503);
        eventually("nobody vouches for anybody", FORGOTTEN, refused).await?;
        lab.server.run("kube-apiserver")?;
        lab.server.ready().await?;
        let known = async || lab.with_token(&other, ABOUT).is_ok_and(|heard| heard.status == 403);
        eventually("somebody vouches again", SOON, known).await?;
        assert!(lab.runs());
        Ok(())
    }
}

testbed::scenario! {
    #[ignore = "starts an API server"]
    within 300;
    async fn a_browser_is_signed_in_until_its_account_is_gone(bed: Testbed) -> anyhow::Result<()> {
        let lab = Lab::start(&bed, "access-session").await?;
        let viewer = lab.token("viewer", &[])?;
        for (case, origin) in [("another site", "https://evil.example"), ("nobody's page", ""), ("no origin", "null")] {
            let heard = lab.sign_in(&viewer, origin)?;
            assert_eq!((heard.status, heard.header("set-cookie")), (403, ""), "{case}: {heard:?}");
        }
        let heard = lab.sign_in(&viewer, ORIGIN)?;
        assert_eq!(heard.status, 200, "{heard:?}");
        let session = cookie(&heard);
        let set = heard.header("set-cookie");
        assert!(session.starts_with("__Host-ambit-session="), "{set}");
        for part in ["; Path=/", "; Secure", "; HttpOnly", "; SameSite=Strict", "; Max-Age="] {
            assert!(set.contains(part), "{set}");
        }
        let heard = lab.with_cookie(&session, ABOUT)?;
        assert_eq!(heard.status, 200, "{heard:?}");
        assert_eq!(heard.header("ambit-signed-in"), "system:serviceaccount:ops:viewer");
        let site = ["-H", "Sec-Fetch-Site: cross-site", "-H", &format!("Cookie: {session}")];
        assert_eq!(lab.curl(&site, ABOUT)?.status, 403, "a page of another site");

        let out = |cookie: &str, origin: &str| {
            let (cookie, origin) = (format!("Cookie: {cookie}"), format!("Origin: {origin}"));
            lab.curl(&["-X", "POST", "-H", &cookie, "-H", &origin], "/ui/sign-out")
        };
        assert_eq!(out(&session, "https://evil.example")?.status, 403);
        assert_eq!(lab.with_cookie(&session, ABOUT)?.status, 200, "still signed in");
        let heard = out(&session, ORIGIN)?;
        assert!(heard.status == 200 && heard.header("set-cookie").contains("Max-Age=0"), "{heard:?}");
        assert_eq!(lab.with_cookie(&session, ABOUT)?.status, 401);

        // A page that hears what happens hears no more, once its reader is gone.
        let session = cookie(&lab.sign_in(&viewer, ORIGIN)?);
        let live = ["-H", &format!("Cookie: {session}"), "--max-time", "110"];
        let (ended, metrics) = std::thread::scope(|scope| -> anyhow::Result<_> {
            let listens = scope.spawn(|| lab.curl(&live, "/api/v1/live"));
            std::thread::sleep(Duration::from_secs(2));
            let metrics = Lab::metrics()?;
            lab.kubectl().run(&["delete", "serviceaccount", "viewer", "-n", "ops"])?;
            // Without an error: the answer has an end, and its time was not over.
            let heard = listens.join().map_err(|_| anyhow::anyhow!("the listener failed"))??;
            Ok((heard, metrics))
        })?;
        assert!(ended.text.matches("event: tick").count() >= 2, "{ended:?}");
        assert!(metrics.contains("ambit_dashboard_sessions 1"), "{metrics}");
        assert_eq!(lab.with_cookie(&session, ABOUT)?.status, 401);

        // So many wrong tokens of one address, and no more are reviewed, good ones neither.
        let other = lab.token("other", &[])?;
        for n in 0..10 {
            let heard = lab.sign_in(&format!("wrong-{n}"), ORIGIN)?;
            assert!(matches!(heard.status, 401 | 429), "{heard:?}");
        }
        let heard = lab.sign_in(&other, ORIGIN)?;
        assert_eq!((heard.status, heard.header("retry-after")), (429, "60"), "{heard:?}");
        assert_eq!(lab.with_token(&other, ABOUT)?.status, 429);
        let elsewhere = ["--interface", "127.0.0.9", "-H", &format!("Authorization: Bearer {other}")];
        assert_eq!(lab.curl(&elsewhere, ABOUT)?.status, 403, "another address is let try");

        let (log, metrics) = (lab.log(), Lab::metrics()?);
        for part in ["was let in", "signed out", "was refused", "system:serviceaccount:ops:viewer", "127.0.0.1"] {
            assert!(log.contains(part), "{part}: {log}");
        }
        for secret in [viewer.as_str(), &other, session.split_once('=').map_or("", |(_, id)| id)] {
            assert!(!secret.is_empty() && !log.contains(secret), "a secret is in the log");
        }
        for reason in ["other_site", "token", "session_ended", "too_many_failures"] {
            let series = format!("ambit_dashboard_refusals_total{{reason=\"{reason}\"}}");
            assert!(metrics.contains(&series), "{series}: {metrics}");
        }
        Ok(())
    }
}

testbed::scenario! {
    #[ignore = "starts an API server, and needs a browser"]
    within 300;
    async fn a_browser_signs_in_and_comes_back_to_its_page(bed: Testbed) -> anyhow::Result<()> {
        let lab = Lab::start(&bed, "access-browser").await?;
        let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("control/observe/web");
        let test = web.join("tests/browser/access.test.mjs");
        let process = bed
            .command("node")
            .named("browser")
            .args(["--test", &test.display().to_string()])
            .env("AMBIT_URL", format!("{ORIGIN}/ui/"))
            .env("AMBIT_TOKEN", lab.token("viewer", &[])?)
            .env("AMBIT_POWERLESS_TOKEN", lab.token("other", &[])?)
            .spawn()?;
        let said = process.wait(Duration::from_mins(2)).await?.success()?;
        assert!(said.contains("pass 2"), "both were looked at: {said}");
        Ok(())
    }
}
