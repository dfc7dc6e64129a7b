//! `cargo xtask docs`: pages made from code.
mod page;
mod rows;
mod suite;

use crate::error::XtaskError;
use page::{HEAD, Section};
use std::path::Path;

/// Writes `docs/methods.md` of this repository.
///
/// # Errors
/// A file that cannot be read or written.
pub fn command() -> Result<(), XtaskError> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = methods_page(&root)?;
    let path = root.join("docs/methods.md");
    let unfinished = path.with_extension("md.tmp");
    std::fs::write(&unfinished, page).map_err(XtaskError::io(&unfinished))?;
    std::fs::rename(&unfinished, &path).map_err(XtaskError::io(&path))?;
    println!("wrote docs/methods.md");
    Ok(())
}

/// The page of all methods, from the repository at `root`.
///
/// # Errors
/// A file that cannot be read, or reference figures of another form.
pub fn methods_page(root: &Path) -> Result<String, XtaskError> {
    let losses = root.join("tests/golden/losses.json");
    let text = std::fs::read_to_string(&losses).map_err(XtaskError::io(&losses))?;
    let mut page = HEAD.to_owned();
    for Section { title, krate, rows } in rows::sections(&text).map_err(|e| {
        XtaskError::config(losses.display().to_string(), e.to_string(), "the schema stands in docs/GOLDEN.md")
    })? {
        let tests = suite::read(&root.join("crates").join(krate).join("tests/suite"))?;
        page.push_str(&page::section(title, krate, &rows, &tests));
    }
    Ok(page)
}

/// The page's section for losses of `tropism-objectives`, made of the given figures and tests instead of the repository's.
///
/// # Errors
/// Figures of another form.
pub fn objectives_section(
    losses: &str,
    tests: &[(String, String)],
) -> Result<String, tropism_objectives::golden::GoldenError> {
    let rows = rows::of_objectives(losses)?;
    Ok(page::section("Objectives", "objectives", &rows, &suite::named(tests)))
}
