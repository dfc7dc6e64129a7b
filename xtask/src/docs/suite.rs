//! The tests of a crate's suite, by name, with what stands in them.
use crate::error::XtaskError;
use std::path::{Path, PathBuf};
use tropism_objectives::Origin;

/// A test: the file that it is in, its name, and what stands in it.
pub(super) struct NamedTest {
    file: String,
    pub(super) name: String,
    body: String,
}

/// The tests in the Rust files of a folder, in the order of the files' names.
pub(super) fn read(folder: &Path) -> Result<Vec<NamedTest>, XtaskError> {
    let entries = std::fs::read_dir(folder).map_err(XtaskError::io(folder))?;
    let mut paths = Vec::<PathBuf>::new();
    for entry in entries {
        paths.push(entry.map_err(XtaskError::io(folder))?.path());
    }
    paths.retain(|path| path.extension().is_some_and(|e| e == "rs"));
    paths.sort();
    let mut sources = Vec::new();
    for path in paths {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        sources.push((stem, std::fs::read_to_string(&path).map_err(XtaskError::io(&path))?));
    }
    Ok(named(&sources))
}

/// The tests in sources with the names of their files: functions under `#[test]`, each up to where the next one starts.
pub(super) fn named(sources: &[(String, String)]) -> Vec<NamedTest> {
    let mut tests = Vec::new();
    for (file, source) in sources {
        for body in source.split("#[test]").skip(1) {
            if let Some((name, _)) = body.split_once("fn ").and_then(|(_, rest)| rest.split_once('(')) {
                tests.push(NamedTest { file: file.clone(), name: name.to_owned(), body: body.to_owned() });
            }
        }
    }
    tests
}

impl NamedTest {
    /// The method whose name the test bears, of several the longest; otherwise the one whose name its file bears.
    pub(super) fn owner<'m>(&self, methods: &[&'m str]) -> Option<&'m str> {
        let bearer = |text: &str| {
            let bears = |m: &&&str| text.strip_prefix(**m).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'));
            methods.iter().filter(bears).max_by_key(|m| m.len()).copied()
        };
        bearer(&self.name).or_else(|| bearer(&self.file))
    }

    /// Whether it is about a method or uses its options. The proofs and the checks of all methods count for none.
    pub(super) fn uses(&self, origin: &Origin, methods: &[&str]) -> bool {
        let options = [format!("{}::default", origin.options), format!("{} {{", origin.options)];
        let used = options.iter().any(|options| holds(&self.body, options));
        let proof = self.file == "proof" || self.body.contains("prove(");
        !proof && (used || self.owner(methods) == Some(origin.method))
    }
}

/// Whether `text` holds `part`, not as the end of a longer name.
fn holds(text: &str, part: &str) -> bool {
    let before = |at: usize| text[..at].chars().next_back();
    text.match_indices(part).any(|(at, _)| before(at).is_none_or(|c| !c.is_alphanumeric() && c != '_'))
}
