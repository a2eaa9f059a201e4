//! What proxies remember of their traffic (docs/observe.md), asked of control, or of each proxy
//! where control is away.
//!
//! - [`asked`]: the window and the filters, as options
//! - [`shape`]: the answers, typed

pub(crate) mod asked;
pub(crate) mod shape;

use anyhow::Context as _;
use hyper::body::Incoming;
use observe::page::Page;
use observe::pb::{Answer, Filter, Origin, Query};
use observe::source::Heard;
use serde::de::DeserializeOwned;

pub(crate) use asked::Asked;
pub(crate) use shape::Framed;

use crate::failed;
use crate::failure::Failure;
use crate::mesh::{self, Kind, Member, Mesh, page};

/// Records of a kind that are asked for at most.
const LIMIT: u32 = 10_000;

/// Who is asked.
#[derive(Debug)]
pub(crate) struct Remembered {
    members: Vec<Member>,
    /// One of them answers for all.
    whole: bool,
}

impl Remembered {
    /// Control if it answers; else every proxy that does.
    ///
    /// # Errors
    /// If nobody does.
    pub(crate) async fn find(mesh: &Mesh) -> Result<Self, Failure> {
        let members = mesh.members().await?;
        if let [only] = members.as_slice() {
            return Ok(Self { members: vec![only.clone()], whole: true });
        }
        let mut why = None;
        for control in members.iter().filter(|member| member.kind == Kind::Control) {
            match control.page(http::Method::GET, "/api/v1/about").await {
                Ok(_) => return Ok(Self { members: vec![control.clone()], whole: true }),
                Err(error) => why = Some(format!("{error:#}")),
            }
        }
        let proxies: Vec<Member> =
            members.into_iter().filter(|member| member.kind != Kind::Control).collect();
        if proxies.is_empty() {
            let why = why.unwrap_or_else(|| format!("nothing runs in {}", mesh.name()));
            return Err(failed!("nobody can be asked what happened: {why}"));
        }
        let why = why.unwrap_or_else(|| "no control plane runs".to_owned());
        crate::warn(&format!("{why}; each proxy is asked itself"));
        Ok(Self { members: proxies, whole: false })
    }

    /// A page of the API, below `/api/v1/`; it may have a parameter of its own.
    ///
    /// # Errors
    /// If nobody answers, or the question is refused.
    pub(crate) async fn page<T: DeserializeOwned + Default>(
        &self,
        name: &str,
        asked: &Asked,
    ) -> Result<Framed<T>, Failure> {
        if self.whole {
            let with = if name.contains('?') { '&' } else { '?' };
            let path = format!("/api/v1/{name}{with}{}", asked.query());
            return Ok(self.members[0].json(&path).await?);
        }
        let (path, parameter) = name.split_once('?').unwrap_or((name, ""));
        let page = Page::at(path, parameter.strip_prefix("group=")).and_then(Result::ok);
        let page = page.ok_or_else(|| failed!("there is no page {name}"))?;
        let question = page.question(Query {
            from_ms: asked.from_ms,
            to_ms: asked.to_ms,
            filter: Some(Filter::default()),
            ..Query::default()
        });
        let own = question.filter.unwrap_or_default();
        let mut asked = asked.clone();
        for (field, value) in [(&mut asked.node, own.node), (&mut asked.workload, own.workload)] {
            if !value.is_empty() {
                *field = value;
            }
        }
        let want = question.want.join(",");
        let want = if want.is_empty() { "edges".to_owned() } else { want };
        let path = format!("/api/v1/answer?want={want}&{}", asked.query());
        let answers =
            mesh::ask_all(self.members.clone(), async |one| one.json::<Answer>(&path).await).await;
        let heard: Vec<Heard> = answers
            .into_iter()
            .map(|(member, answer)| Heard {
                origin: Origin {
                    node: member.node.clone(),
                    kind: member.kind.name().to_owned(),
                    name: member.name.clone(),
                    namespace: member.namespace.clone(),
                    gateway: member.gateway.clone(),
                    ..Origin::default()
                },
                connected_ms: 0,
                part: None,
                result: answer.map_err(|error| format!("{error:#}")),
            })
            .collect();
        if let Some(error) =
            heard.iter().map(|heard| heard.result.as_ref().err()).collect::<Option<Vec<_>>>()
        {
            return Err(failed!(
                "no proxy answers: {}",
                error.first().map_or("", |why| why.as_str())
            ));
        }
        let value = page.show(&heard, LIMIT as usize).context("what proxies said")?;
        Ok(serde_json::from_value(value).context("what proxies said")?)
    }

    /// What happens from now on, of everybody who is asked.
    ///
    /// # Errors
    /// If one of them does not answer.
    pub(crate) async fn live(&self, asked: &Asked) -> Result<Vec<Incoming>, Failure> {
        let path = format!("/api/v1/live?{}", asked.filters());
        let mut streams = Vec::new();
        for member in &self.members {
            let stream = page::follow(&member.admin, &path).await;
            streams.push(stream.with_context(|| member.title())?);
        }
        Ok(streams)
    }
}
