//! A directory of Kubernetes YAML, read as control reads it, for people who ask about it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use control::limits;
use control::source::document::{flatten, parse, split};

use super::objects::{Object, Objects};

/// The objects of all files. What cannot be read is left out: control says what that is.
///
/// # Errors
/// If the directory cannot be read.
pub(crate) fn read(directory: &Path) -> anyhow::Result<Objects> {
    let mut objects = Objects::default();
    for file in files(directory)? {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        for document in split(&text) {
            let Ok(value) = parse(document.text) else { continue };
            let place = Some((file.clone(), document.index));
            let all = flatten(value).into_iter();
            objects.all.extend(all.map(|value| Object { value, place: place.clone() }));
        }
    }
    Ok(objects)
}

/// The YAML files of a directory, sorted; hidden names hold nothing of the user's.
///
/// # Errors
/// If the directory cannot be read, or holds more files than control would read.
pub(crate) fn files(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    walk(directory, 0, &mut found).with_context(|| directory.display().to_string())?;
    found.sort();
    Ok(found)
}

fn walk(directory: &Path, depth: usize, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        let Ok(meta) = fs::metadata(&path) else { continue };
        if hidden {
            continue;
        }
        if meta.is_dir() && depth + 1 < limits::MAX_DEPTH {
            walk(&path, depth + 1, found)?;
        } else if meta.is_file()
            && path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml")
            && meta.len() <= limits::MAX_FILE_BYTES
        {
            if found.len() >= limits::MAX_FILES {
                bail!("more than {} files", limits::MAX_FILES);
            }
            found.push(path);
        }
    }
    Ok(())
}
