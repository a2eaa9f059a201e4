//! Changes of objects: by the API server, or in the files that control reads.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::edit;
use crate::failed;
use crate::failure::Failure;
use crate::mesh::cluster::denied;
use crate::mesh::{Mesh, Object, Objects};

/// The field manager of what this command writes.
const MANAGER: &str = "ambit";

/// Sets a label of an object `(kind, namespace, name)`, or takes it away; says in a sentence what
/// was done.
///
/// # Errors
/// If it may not be changed.
pub(crate) async fn label(
    mesh: &Mesh,
    objects: &Objects,
    (kind, namespace, name): (&str, &str, &str),
    key: &str,
    value: Option<&str>,
) -> Result<String, Failure> {
    let title = match namespace {
        "" => format!("{kind} {name}"),
        namespace => format!("{kind} {namespace}/{name}"),
    };
    let words = match value {
        Some(value) => format!("{title}: {key}={value}"),
        None => format!("{title}: label {key} taken off"),
    };
    let found = objects.find(kind, namespace, name);
    if found.is_some_and(|object| object.label(key) == value) {
        return Ok(format!("{words} (it was so)"));
    }
    if let Some(cluster) = mesh.cluster() {
        let api = cluster.api(kind, namespace).ok_or_else(|| failed!("no kind {kind}"))?;
        let patch = json!({"metadata": {"labels": {key: value}}});
        let plural = format!("{}s", kind.to_lowercase());
        let done = api.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await;
        done.map_err(|error| denied(error, &plural, "patch"))?;
        return Ok(words);
    }
    let directory = directory(mesh)?;
    match found {
        Some(object) => {
            let lost = rewrite(object, |text, index| {
                let is_it = |value: &Value| is_same(value, object);
                edit::label(text, index, is_it, key, value)
            })?;
            Ok(if lost { format!("{words}; comments of that document are lost") } else { words })
        }
        None => {
            let labels = value.map(|value| json!({key: value})).unwrap_or_else(|| json!({}));
            let object = json!({"apiVersion": "v1", "kind": kind,
                "metadata": {"name": name, "labels": labels}});
            let path = write_new(directory, &object)?;
            Ok(format!("{words} in the new file {}", path.display()))
        }
    }
}

/// Creates an object, or brings it to what it should be.
///
/// # Errors
/// If it may not be written.
pub(crate) async fn apply(
    mesh: &Mesh,
    objects: &Objects,
    object: &Value,
) -> Result<String, Failure> {
    let wanted = Object { value: object.clone(), place: None };
    if let Some(cluster) = mesh.cluster() {
        let api = cluster.api(wanted.kind(), wanted.namespace());
        let api = api.ok_or_else(|| failed!("no kind {}", wanted.kind()))?;
        let params = PatchParams::apply(MANAGER).force();
        let plural = format!("{}s", wanted.kind().to_lowercase());
        let done = api.patch(wanted.name(), &params, &Patch::Apply(object)).await;
        done.map_err(|error| denied(error, &plural, "patch"))?;
        return Ok(format!("{} applied", wanted.title()));
    }
    let directory = directory(mesh)?;
    if let Some(there) = objects.find(wanted.kind(), wanted.namespace(), wanted.name()) {
        if there.value == *object {
            return Ok(format!("{} is there", wanted.title()));
        }
        return Err(failed!(
            "{} is in {} and differs; change it there, or delete it first",
            wanted.title(),
            place(there)
        ));
    }
    let path = write_new(directory, object)?;
    Ok(format!("{} written to {}", wanted.title(), path.display()))
}

/// Deletes an object.
///
/// # Errors
/// If it may not be deleted.
pub(crate) async fn delete(mesh: &Mesh, object: &Object) -> Result<String, Failure> {
    if let Some(cluster) = mesh.cluster() {
        let api = cluster.api(object.kind(), object.namespace());
        let api = api.ok_or_else(|| failed!("no kind {}", object.kind()))?;
        let plural = format!("{}s", object.kind().to_lowercase());
        let done = api.delete(object.name(), &DeleteParams::default()).await;
        done.map_err(|error| denied(error, &plural, "delete"))?;
        return Ok(format!("{} deleted", object.title()));
    }
    directory(mesh)?;
    let Some((path, _)) = &object.place else {
        return Err(failed!("{} has no file", object.title()));
    };
    let text = read(path)?;
    if control::source::document::split(&text).len() == 1 {
        fs::remove_file(path).with_context(|| path.display().to_string())?;
        return Ok(format!("{} deleted with its file {}", object.title(), path.display()));
    }
    rewrite(object, |text, index| Ok(without(text, index)))?;
    Ok(format!("{} deleted from {}", object.title(), path.display()))
}

/// The file without document `index`.
fn without(text: &str, index: usize) -> edit::Edited {
    let documents = control::source::document::split(text);
    let kept = documents.iter().filter(|document| document.index != index);
    let kept: Vec<&str> = kept.map(|document| document.text).collect();
    edit::Edited { text: kept.join("---\n"), comments_lost: false }
}

fn is_same(value: &Value, object: &Object) -> bool {
    let other = Object { value: value.clone(), place: None };
    other.title() == object.title()
}

fn place(object: &Object) -> String {
    object.place.as_ref().map(|(path, _)| path.display().to_string()).unwrap_or_default()
}

fn directory(mesh: &Mesh) -> Result<&PathBuf, Failure> {
    mesh.manifests()
        .ok_or_else(|| failed!("{} has no manifests to change; give --directory DIR", mesh.name()))
}

/// Changes the file of an object; whether comments were lost.
fn rewrite(
    object: &Object,
    change: impl Fn(&str, usize) -> anyhow::Result<edit::Edited>,
) -> Result<bool, Failure> {
    let Some((path, index)) = &object.place else {
        return Err(failed!("{} has no file", object.title()));
    };
    let edited = change(&read(path)?, *index).with_context(|| path.display().to_string())?;
    replace(path, &edited.text).with_context(|| path.display().to_string())?;
    Ok(edited.comments_lost)
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| path.display().to_string())
}

/// A file of its own for an object, `kind.namespace.name.yaml`.
fn write_new(directory: &Path, object: &Value) -> Result<PathBuf, Failure> {
    let one = Object { value: object.clone(), place: None };
    let parts = [&*one.kind().to_lowercase(), one.namespace(), one.name()];
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    let path = directory.join(format!("{}.yaml", parts.join(".")));
    if path.exists() {
        return Err(failed!("{} is there already and holds something else", path.display()));
    }
    replace(&path, &testbed::manifests::yaml(object))
        .with_context(|| path.display().to_string())?;
    Ok(path)
}

/// A reader sees the old file or the new, never a part; its mode stays.
fn replace(path: &Path, text: &str) -> anyhow::Result<()> {
    // A link goes on leading to its file. Not by its canonical path: below /proc/PID/root that
    // would be a file of ours.
    let path = match fs::read_link(path) {
        Ok(target) => path.with_file_name("").join(target),
        Err(_) => path.to_owned(),
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let new = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let mode = fs::metadata(&path).map(|meta| meta.permissions().mode()).ok();
    let written = (|| {
        let mut file = fs::File::create_new(&new)?;
        if let Some(mode) = mode {
            file.set_permissions(fs::Permissions::from_mode(mode))?;
        }
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &path)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    Ok(written?)
}
