//! Reward for answers in a given form.

use serde::{Deserialize, Serialize};

use crate::{Reward, RewardError, judged};

/// 1 for an answer that is made of the given sections, in that order and with nothing between them but white space; else 0.
///
/// A section `think` stands between `<think>` and `</think>`, is not empty, and holds none of the sections' tags.
///
/// Source: the format reward of DeepSeek-AI 2025 (DeepSeek-R1), arXiv 2501.12948, there for `think` and `answer`.
///
/// ```
/// use tropism_rewards::Format;
///
/// let format = Format::default();
/// assert!(format.holds("<think>9 * 2 = 18</think>\n<answer>18</answer>"));
/// assert!(!format.holds("<think>9 * 2 = 18</think> so <answer>18</answer>"));
/// assert!(!format.holds("<answer>18</answer>"));
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Format {
    /// Names of the sections. Default: `think`, `answer`.
    pub sections: Vec<String>,
}

impl Default for Format {
    fn default() -> Self {
        Self { sections: vec!["think".to_owned(), "answer".to_owned()] }
    }
}

impl Format {
    /// Whether `text` has the form. What is not [`judged()`] counts as not written.
    pub fn holds(&self, text: &str) -> bool {
        let mut rest = judged(text).trim();
        for section in &self.sections {
            let Some(found) = self.section(section, rest) else {
                return false;
            };
            rest = found.trim_start();
        }
        rest.is_empty()
    }

    /// What stands behind the section that `text` begins with.
    fn section<'t>(&self, name: &str, text: &'t str) -> Option<&'t str> {
        let (body, rest) = text.strip_prefix(&*format!("<{name}>"))?.split_once(&*format!("</{name}>"))?;
        let tag = |name: &String| body.contains(&format!("<{name}>")) || body.contains(&format!("</{name}>"));
        let bad = body.trim().is_empty() || self.sections.iter().any(tag);
        (!bad).then_some(rest)
    }
}

impl Reward for Format {
    fn name(&self) -> &str {
        "format"
    }

    fn score(&self, _prompt: &str, completion: &str, _truth: Option<&str>) -> Result<Option<f64>, RewardError> {
        Ok(Some(if self.holds(completion) { 1.0 } else { 0.0 }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_that_do_not_hold() {
        let format = Format::default();
        assert!(format.holds("  <think>a</think><answer>b</answer>  "));
        for bad in [
            "",
            "<think>a</think>",
            "<think> </think><answer>b</answer>",
            "<answer>b</answer><think>a</think>",
            "<think>a<answer>x</answer></think><answer>b</answer>",
            "<think>a</think><answer>b</answer> more",
            "<think>a<think>b</think><answer>c</answer>",
        ] {
            assert!(!format.holds(bad), "{bad}");
        }
        let long = format!("<think>{}</think><answer>b</answer>", "a".repeat(10_000));
        assert!(!format.holds(&long), "what is not judged is not written");
    }
}
