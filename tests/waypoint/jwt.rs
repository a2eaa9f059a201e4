//! Tokens of users: who issued them decides who asks, and nothing else that a request says.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use testbed::manifests::{authorization_policy, request_authentication};
use testbed::mesh::{MeshPod, PATIENCE};
use testbed::{Testbed, eventually};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::answer::{Answered, ask_with};
use crate::shop::Shop;

const ISSUER: &str = "https://issuer.example";
const ORDERS: &str = "http://store/orders";
/// From the change of a file to its effect.
const EFFECT: Duration = Duration::from_secs(1);
const OBJECT: &str = "RequestAuthentication shop/jwt";

/// An issuer with a key of its own.
struct Issuer {
    key: EncodingKey,
    id: &'static str,
}

impl Issuer {
    fn new(id: &'static str) -> anyhow::Result<Self> {
        let key = rcgen::KeyPair::generate()?;
        Ok(Self { key: EncodingKey::from_ec_der(&key.serialize_der()), id })
    }

    /// Its key set as text.
    fn jwks(&self) -> anyhow::Result<String> {
        let mut key = Jwk::from_encoding_key(&self.key, Algorithm::ES256)?;
        key.common.key_id = Some(self.id.to_owned());
        Ok(json!({"keys": [key]}).to_string())
    }

    /// The field with a token that has `more` claims.
    fn bearer(&self, more: &Value) -> anyhow::Result<String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let mut claims = json!({"iss": ISSUER, "sub": "ann", "exp": now + 600,
            "team": ["books", "staff"], "realm": {"level": "2"}});
        if let (Some(claims), Some(more)) = (claims.as_object_mut(), more.as_object()) {
            claims.extend(more.clone());
        }
        let header = Header { kid: Some(self.id.to_owned()), ..Header::new(Algorithm::ES256) };
        let token = jsonwebtoken::encode(&header, &claims, &self.key)?;
        Ok(format!("Authorization: Bearer {token}"))
    }
}

async fn with(client: &MeshPod, field: &str) -> anyhow::Result<Answered> {
    ask_with(client, ORDERS, &[field]).await
}

async fn status(client: &MeshPod, field: Option<&str>) -> anyhow::Result<Option<u16>> {
    let fields: Vec<&str> = field.into_iter().collect();
    Ok(ask_with(client, ORDERS, &fields).await?.status)
}

/// Waits until a request is answered so.
async fn until(shop: &Shop, what: &str, field: Option<&str>, wanted: u16) -> anyhow::Result<()> {
    let last = Mutex::new(None);
    let waited = eventually(what, PATIENCE, async || {
        let found = status(&shop.web, field).await.ok().flatten();
        *last.lock().unwrap_or_else(PoisonError::into_inner) = found;
        found == Some(wanted)
    });
    anyhow::ensure!(waited.await.is_ok(), "{what}: {last:?}, not {wanted}");
    Ok(())
}

fn allow(rule: &Value) -> Value {
    let spec = json!({"targetRefs": [{"kind": "Service", "group": "", "name": "store"}],
        "rules": [rule]});
    authorization_policy(("shop", "known"), "ALLOW", spec)
}

fn rules(rule: Value) -> Value {
    let mut rule = rule;
    rule["issuer"] = ISSUER.into();
    request_authentication(("shop", "jwt"), "store", &json!([rule]))
}

/// Whether the object's condition has this reason and these words.
fn says(status: &Value, reason: &str, words: &str) -> bool {
    let conditions = status["objects"][OBJECT].as_array().into_iter().flatten();
    conditions.into_iter().any(|condition| {
        condition["type"] == "WaypointAccepted"
            && condition["reason"] == reason
            && condition["message"].as_str().is_some_and(|message| message.contains(words))
    })
}

/// Answers every request on `listener` with what `answer` holds.
fn publish(listener: TcpListener, answer: Arc<Mutex<String>>) {
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let text = answer.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(text.as_bytes()).await;
        }
    });
}

fn found(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

testbed::scenario! {
    async fn a_token_decides_who_asks_and_a_forged_one_is_refused(
        bed: Testbed
    ) -> anyhow::Result<()> {
        let shop = Shop::open(&bed).await?;
        shop.bind().await?;
        let (issuer, forger) = (Issuer::new("one")?, Issuer::new("one")?);
        shop.mesh.apply(&rules(json!({"jwks": issuer.jwks()?})))?;
        let (ann, bob) = (issuer.bearer(&json!({}))?, issuer.bearer(&json!({"sub": "bob"}))?);
        let forged = forger.bearer(&json!({}))?;
        until(&shop, "a forged token is refused", Some(&forged), 401).await?;
        shop.mesh.control().status_is("it is accepted", |s| says(s, "Accepted", "")).await?;
        assert_eq!(status(&shop.web, None).await?, Some(200), "no token is no fault");
        assert_eq!(status(&shop.web, Some(&ann)).await?, Some(200));
        for (case, field, reason) in [
            ("another issuer's", issuer.bearer(&json!({"iss": "https://other.example"}))?, "issuer"),
            ("expired", issuer.bearer(&json!({"exp": 1_000_000_000}))?, "expired"),
            ("no token at all", "Authorization: Bearer secret".to_owned(), "malformed"),
            ("unsigned", format!("{}.", forged.rsplit_once('.').unwrap_or_default().0), "signature"),
        ] {
            let mark = shop.mesh.node("node-b")?.mark();
            let answer = with(&shop.web, &field).await?;
            assert_eq!(answer.status, Some(401), "{case}");
            let challenge = answer.header("www-authenticate").unwrap_or_default();
            assert!(challenge.starts_with("Bearer error=\"invalid_token\""), "{case}: {challenge}");
            let because = answer.header("proxy-status").unwrap_or_default();
            assert!(because.contains("error=http_request_denied; hop=waypoint"), "{case}: {because}");
            let line = shop.mesh.node("node-b")?.logs("request").since(mark)
                .with("response_code", 401).await?;
            assert_eq!(line["policy"], "RequestAuthentication/shop/jwt", "{line}");
            let details = format!("jwt_authn_access_denied{{{reason}}}");
            assert_eq!(line["response_code_details"], details, "{case}: {line}");
        }

        // Policies name who asks.
        let principal = format!("{ISSUER}/ann");
        shop.mesh.apply(&allow(&json!({"from": [{"source": {"requestPrincipals": [principal]}}]})))?;
        until(&shop, "without a token nobody is allowed", None, 403).await?;
        assert_eq!(status(&shop.web, Some(&ann)).await?, Some(200));
        assert_eq!(status(&shop.web, Some(&bob)).await?, Some(403), "another subject");
        shop.mesh.node("node-b")?.logs("request").with("response_code", 200)
            .with("request_principal", principal.as_str())
            .with("policy", "AuthorizationPolicy/shop/known").await?;
        for (case, key, wanted) in [
            ("a list that has it", "request.auth.claims[team]", "staff"),
            ("inside another", "request.auth.claims[realm][level]", "2"),
        ] {
            shop.mesh.apply(&allow(&json!({"when": [{"key": key, "values": ["nothing"]}]})))?;
            until(&shop, case, Some(&bob), 403).await?;
            shop.mesh.apply(&allow(&json!({"when": [{"key": key, "values": [wanted]}]})))?;
            until(&shop, case, Some(&bob), 200).await?;
            assert_eq!(status(&shop.web, None).await?, Some(403), "{case}");
        }

        // A new key takes the place of the old within a second.
        let rotated = Issuer::new("two")?;
        let (old, new) = (bob, rotated.bearer(&json!({}))?);
        assert_eq!(status(&shop.web, Some(&new)).await?, Some(401), "not yet");
        shop.mesh.apply(&rules(json!({"jwks": rotated.jwks()?})))?;
        let changed = Instant::now();
        while status(&shop.web, Some(&new)).await? != Some(200) {
            anyhow::ensure!(changed.elapsed() < PATIENCE, "the new key is not in force");
        }
        assert!(changed.elapsed() < EFFECT, "{:?}", changed.elapsed());
        assert_eq!(status(&shop.web, Some(&old)).await?, Some(401), "the old key is gone");

        // What is not understood refuses everybody, and says so.
        shop.mesh.remove("AuthorizationPolicy", "shop", "known")?;
        until(&shop, "free without the policy", None, 200).await?;
        shop.mesh.apply(&rules(json!({"jwks": rotated.jwks()?, "fromFoo": ["x"]})))?;
        until(&shop, "refused", None, 403).await?;
        assert_eq!(status(&shop.web, Some(&new)).await?, Some(403));
        shop.mesh.control().status_is("it says so", |s| {
            says(s, "PartiallyInvalid", "every request to the targets is refused")
        }).await?;
        Ok(())
    }

    async fn control_fetches_keys_and_keeps_them_while_their_issuer_is_away(
        bed: Testbed
    ) -> anyhow::Result<()> {
        let shop = Shop::open(&bed).await?;
        shop.bind().await?;
        let issuer = Issuer::new("one")?;
        let listener = bed.infra().run(|| std::net::TcpListener::bind("0.0.0.0:0"))??;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let answer = Arc::new(Mutex::new(found(&issuer.jwks()?)));
        let answers = |text: &str| {
            text.clone_into(&mut answer.lock().unwrap_or_else(PoisonError::into_inner));
        };
        publish(TcpListener::from_std(listener)?, answer.clone());
        let ann = issuer.bearer(&json!({}))?;

        // This machine itself is asked by nobody, and tokens are refused until there are keys.
        let own = format!("http://127.0.0.1:{port}/keys");
        shop.mesh.apply(&rules(json!({"jwksUri": own})))?;
        until(&shop, "no keys", Some(&ann), 401).await?;
        shop.mesh.control().status_is("it says why", |s| {
            says(s, "PartiallyInvalid", "127.0.0.1 is this machine's own")
                && says(s, "PartiallyInvalid", &own)
        }).await?;
        assert_eq!(status(&shop.web, None).await?, Some(200), "no token is no fault");

        let [ip, _] = bed.infra_ips();
        shop.mesh.apply(&rules(json!({"jwksUri": format!("http://{ip}:{port}/keys")})))?;
        until(&shop, "the keys are there", Some(&ann), 200).await?;
        shop.mesh.control().status_is("it is accepted", |s| says(s, "Accepted", "")).await?;

        // The issuer is away, and a control that starts anew has its keys still.
        answers("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
        shop.mesh.control().kill().await?;
        assert_eq!(status(&shop.web, Some(&ann)).await?, Some(200), "without control");
        shop.mesh.control().start()?;
        shop.mesh.control().ready().await?;
        shop.mesh.control().status_is("it says what is in force", |s| {
            says(s, "PartiallyInvalid", "its last good keys stay in force")
        }).await?;
        assert_eq!(status(&shop.web, Some(&ann)).await?, Some(200), "the last good keys");

        // It is back, with another key.
        let rotated = Issuer::new("two")?;
        answers(&found(&rotated.jwks()?));
        until(&shop, "the new key", Some(&rotated.bearer(&json!({}))?), 200).await?;
        until(&shop, "not the old one", Some(&ann), 401).await?;
        Ok(())
    }
}
