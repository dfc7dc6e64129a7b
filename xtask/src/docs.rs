//! `cargo xtask docs`: pages made from code.
use crate::error::XtaskError;
use std::path::{Path, PathBuf};

/// Writes `docs/methods.md` of this repository.
///
/// # Errors
/// A file that cannot be read or written.
pub fn command() -> Result<(), XtaskError> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let losses = root.join("tests/golden/losses.json");
    let text = std::fs::read_to_string(&losses).map_err(XtaskError::io(&losses))?;
    let page = tropism_objectives::golden::methods_page(&text, &sources(&root.join("crates/objectives/tests/suite"))?)
        .map_err(|e| {
            XtaskError::config(losses.display().to_string(), e.to_string(), "the schema stands in docs/GOLDEN.md")
        })?;
    let path = root.join("docs/methods.md");
    let unfinished = path.with_extension("md.tmp");
    std::fs::write(&unfinished, page).map_err(XtaskError::io(&unfinished))?;
    std::fs::rename(&unfinished, &path).map_err(XtaskError::io(&path))?;
    println!("wrote docs/methods.md");
    Ok(())
}

/// The Rust files of a folder, in the order of their names.
fn sources(folder: &Path) -> Result<Vec<String>, XtaskError> {
    let entries = std::fs::read_dir(folder).map_err(XtaskError::io(folder))?;
    let mut paths = Vec::<PathBuf>::new();
    for entry in entries {
        paths.push(entry.map_err(XtaskError::io(folder))?.path());
    }
    paths.retain(|path| path.extension().is_some_and(|e| e == "rs"));
    paths.sort();
    paths.iter().map(|path| std::fs::read_to_string(path).map_err(XtaskError::io(path))).collect()
}
