//! External authorizers of the mesh configuration, for every waypoint.

use hbone::wire::pb::ambit::waypoint::v1 as pb;
use prost::Message;

use super::duration;
use crate::api::mesh::{ExtAuthzGrpc, ExtensionProvider};
use crate::model::object::{Key, Kind, ObjectRef};
use crate::model::world::World;
use crate::translate::membership::hostname;
use crate::translate::{Derived, EVERY_WAYPOINT, Family, Resource};

/// Derives every provider. One that cannot be used is sent with the reason, so that what needs
/// it is refused.
pub fn derive(world: &World) -> Derived {
    let mut derived = Derived::default();
    let root = &world.mesh().root_namespace;
    for provider in &world.mesh().providers {
        let object = pb::ObjectRef {
            kind: "ExtensionProvider".to_owned(),
            namespace: root.clone(),
            name: provider.name.clone(),
        };
        let read = read(world, provider, &mut derived);
        let mut message =
            read.unwrap_or_else(|invalid| pb::Provider { invalid, ..Default::default() });
        message.object = Some(object);
        derived.resources.push(Resource {
            family: Family::WaypointProvider,
            name: format!("ExtensionProvider/{root}/{}", provider.name),
            body: message.encode_to_vec(),
            aliases: Vec::new(),
            groups: vec![EVERY_WAYPOINT.to_owned()],
        });
    }
    derived
}

fn read(
    world: &World,
    provider: &ExtensionProvider,
    derived: &mut Derived,
) -> Result<pb::Provider, String> {
    let grpc = match (&provider.envoy_ext_authz_grpc, &provider.envoy_ext_authz_http) {
        (Some(grpc), None) => grpc,
        (None, Some(_)) => {
            return Err("envoyExtAuthzHttp is not served; use envoyExtAuthzGrpc".to_owned());
        }
        (Some(_), Some(_)) => {
            return Err("it has both envoyExtAuthzGrpc and envoyExtAuthzHttp".to_owned());
        }
        (None, None) => return Err("it has no envoyExtAuthzGrpc".to_owned()),
    };
    let service = service(world, grpc)?;
    derived.looked_at.insert(ObjectRef::new(Kind::Service, &service.namespace, &service.name));
    let timeout = grpc.timeout.as_ref().map(|text| {
        duration::read(text)
            .ok_or_else(|| format!("timeout is {text:?}; write a duration such as 50ms"))
    });
    let status = grpc.status_on_error.as_ref().filter(|text| !text.is_empty());
    let status = status.map(|text| {
        let code = text.parse().ok().filter(|code| (400..600).contains(code));
        code.ok_or_else(|| format!("statusOnError is {text:?}; write 400 to 599"))
    });
    let body = grpc.include_request_body_in_check.clone().unwrap_or_default();
    Ok(pb::Provider {
        service: Some(pb::ServiceRef {
            namespace: service.namespace.clone(),
            hostname: hostname(world, &service),
        }),
        port: u32::from(grpc.port),
        timeout: timeout.transpose()?,
        fail_open: grpc.fail_open,
        status_on_error: status.transpose()?.unwrap_or(0),
        max_request_bytes: body.max_request_bytes,
        allow_partial_message: body.allow_partial_message,
        pack_as_bytes: body.pack_as_bytes,
        ..pb::Provider::default()
    })
}

/// `[namespace/]name.namespace.svc.<domain>`.
fn service(world: &World, grpc: &ExtAuthzGrpc) -> Result<Key, String> {
    let wrong =
        || format!("service is {:?}; write name.namespace.svc.{}", grpc.service, world.site.domain);
    let (namespace, host) = match grpc.service.split_once('/') {
        Some((namespace, host)) => (Some(namespace), host),
        None => (None, grpc.service.as_str()),
    };
    let bare = host.strip_suffix(&format!(".svc.{}", world.site.domain)).ok_or_else(wrong)?;
    let (name, of) = bare.split_once('.').ok_or_else(wrong)?;
    if namespace.is_some_and(|namespace| namespace != of) {
        return Err(wrong());
    }
    Ok(Key::new(of, name))
}

#[cfg(test)]
mod tests;
