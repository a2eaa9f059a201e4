//! The kinds of the Gateway API.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Note, ReadError, decode, decode_quietly, raw_meta};
use crate::api::gateway::{
    Gateway, GatewayClass, GatewayClassSpec, GatewaySpec, GrpcMatch, HttpMatch, ReferenceGrant,
    ReferenceGrantSpec, Route, RouteSpec,
};
use crate::model::object::{Kind, Object};

type Result<T> = std::result::Result<T, ReadError>;

fn spec<T: DeserializeOwned>(value: &Value, notes: &mut Vec<Note>) -> Result<T> {
    let empty = Value::Object(serde_json::Map::new());
    decode(value.get("spec").unwrap_or(&empty), "spec", notes)
}

pub(super) fn class(value: &Value, notes: &mut Vec<Note>) -> Result<Object> {
    let meta = raw_meta(value, Kind::GatewayClass, notes)?;
    // `description` and `parametersRef` mean nothing here.
    let raw: GatewayClassSpec = spec(value, &mut Vec::new())?;
    Ok(Object::GatewayClass(GatewayClass { meta, controller: raw.controller_name }))
}

pub(super) fn gateway(value: &Value, notes: &mut Vec<Note>) -> Result<Object> {
    let meta = raw_meta(value, Kind::Gateway, notes)?;
    let spec: GatewaySpec = spec(value, notes)?;
    Ok(Object::Gateway(Box::new(Gateway { meta, spec })))
}

pub(super) fn http_route(value: &Value, notes: &mut Vec<Note>) -> Result<Object> {
    let meta = raw_meta(value, Kind::HTTPRoute, notes)?;
    let spec: RouteSpec<HttpMatch> = spec(value, notes)?;
    Ok(Object::HTTPRoute(Box::new(Route { meta, spec })))
}

pub(super) fn grpc_route(value: &Value, notes: &mut Vec<Note>) -> Result<Object> {
    let meta = raw_meta(value, Kind::GRPCRoute, notes)?;
    let mut spec: RouteSpec<GrpcMatch> = spec(value, notes)?;
    for (index, rule) in spec.rules.iter_mut().enumerate() {
        let (timeouts, retry) = (rule.timeouts.take().is_some(), rule.retry.take().is_some());
        for (field, written) in [("timeouts", timeouts), ("retry", retry)] {
            if written {
                let message = "is no field of a GRPCRoute";
                notes.push(Note::new(format!("spec.rules[{index}].{field}"), message));
            }
        }
    }
    Ok(Object::GRPCRoute(Box::new(Route { meta, spec })))
}

/// A grant with a field that is not understood may be a narrower one, so it grants nothing.
pub(super) fn reference_grant(value: &Value, notes: &mut Vec<Note>) -> Result<Object> {
    let meta = raw_meta(value, Kind::ReferenceGrant, notes)?;
    let empty = Value::Object(serde_json::Map::new());
    let raw = value.get("spec").unwrap_or(&empty);
    let (mut spec, unknown) = decode_quietly::<ReferenceGrantSpec>(raw, "spec")?;
    if !unknown.is_empty() {
        spec = ReferenceGrantSpec::default();
    }
    for field in unknown {
        let message = "is no field of a ReferenceGrant; the grant permits nothing until it is gone";
        notes.push(Note::new(field, message));
    }
    Ok(Object::ReferenceGrant(ReferenceGrant { meta, spec }))
}
