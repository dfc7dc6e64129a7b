//! The experiments that come with the repository.
use crate::error::XtaskError;
use tropism_toys::{TOYS, Toy};

/// Name and text of each recipe.
pub const RECIPES: [(&str, &str); 26] = [
    ("quickstart", include_str!("../recipes/quickstart.toml")),
    ("grpo", include_str!("../recipes/grpo.toml")),
    ("lookup", include_str!("../recipes/lookup.toml")),
    ("sokoban", include_str!("../recipes/sokoban.toml")),
    ("online-dpo", include_str!("../recipes/online-dpo.toml")),
    ("self-reward", include_str!("../recipes/self-reward.toml")),
    ("xpo", include_str!("../recipes/xpo.toml")),
    ("selm", include_str!("../recipes/selm.toml")),
    ("dno", include_str!("../recipes/dno.toml")),
    ("dno-circle", include_str!("../recipes/dno-circle.toml")),
    ("srpo", include_str!("../recipes/srpo.toml")),
    ("mah-dpo", include_str!("../recipes/mah-dpo.toml")),
    ("dpa", include_str!("../recipes/dpa.toml")),
    ("best-of-n", include_str!("../recipes/best-of-n.toml")),
    ("drpo", include_str!("../recipes/drpo.toml")),
    ("disco", include_str!("../recipes/disco.toml")),
    ("mo-grpo", include_str!("../recipes/mo-grpo.toml")),
    ("reward-model", include_str!("../recipes/reward-model.toml")),
    ("rto", include_str!("../recipes/rto.toml")),
    ("aligndistil", include_str!("../recipes/aligndistil.toml")),
    ("oprl", include_str!("../recipes/oprl.toml")),
    ("ring", include_str!("../recipes/ring.toml")),
    ("glyphs", include_str!("../recipes/glyphs.toml")),
    ("gsm8k", include_str!("../recipes/gsm8k.toml")),
    ("hh", include_str!("../recipes/hh.toml")),
    ("dpo", include_str!("../recipes/dpo.toml")),
];

/// The text of a recipe, or of a TOML file.
///
/// # Errors
/// Neither exists; the nearest recipe or toy is named.
pub fn find(name: &str) -> Result<String, XtaskError> {
    if let Some((_, text)) = RECIPES.iter().find(|(n, _)| *n == name) {
        return Ok((*text).to_owned());
    }
    let path = std::path::Path::new(name);
    if path.is_file() {
        return std::fs::read_to_string(path).map_err(XtaskError::io(path));
    }
    let toys: Vec<String> = TOYS.iter().map(Toy::name).collect();
    let names = RECIPES.iter().map(|(n, _)| *n).chain(toys.iter().map(String::as_str));
    let help = match crate::config::nearest(name, names) {
        Some(near) => format!("did you mean `{near}`? `cargo xtask experiment --list` shows all recipes and toys"),
        None => "`cargo xtask experiment --list` shows all recipes and toys; a file of your own ends in .toml".to_owned(),
    };
    Err(XtaskError::NoRecipe { name: name.to_owned(), help })
}

/// One line per recipe and per toy: its name and its description or claim.
///
/// # Errors
/// A recipe that does not parse.
pub fn list() -> Result<String, XtaskError> {
    let mut out = String::new();
    for (name, text) in RECIPES {
        // a recipe that needs a path is not complete without it, so it is only read here, not checked
        let table: toml::Table =
            text.parse().map_err(|e: toml::de::Error| XtaskError::config(name, e.to_string(), "fix the recipe"))?;
        let description = table.get("description").and_then(toml::Value::as_str).unwrap_or_default();
        out += &format!("{name:19} {description}\n");
    }
    out += "\ntoys: what a paper claims, checked on a small world\n";
    out.extend(TOYS.iter().map(|t| format!("{:19} {}\n", t.name(), t.claim)));
    Ok(out)
}
