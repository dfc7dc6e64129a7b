//! Chat templates: Jinja as transformers runs it.

use std::collections::BTreeMap;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{Environment, ErrorKind, context};

use super::json::to_json;
use crate::DataError;
use crate::record::Message;

const NAME: &str = "chat_template";

/// A compiled template, or why it does not compile: that matters only to those who render.
#[derive(Debug, Clone)]
pub(super) struct Template(Result<Environment<'static>, String>);

impl Template {
    pub(super) fn new(source: &str) -> Self {
        let mut environment = Environment::new();
        // with the standard delimiters this cannot fail
        if let Ok(syntax) = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build() {
            environment.set_syntax(syntax);
        }
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", raise_exception);
        environment.add_filter("tojson", to_json);
        let compiled = environment.add_template_owned(NAME, source.to_owned());
        Self(compiled.map(|()| environment).map_err(|error| chain(&error)))
    }

    pub(super) fn render(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
        specials: &BTreeMap<String, String>,
    ) -> Result<String, DataError> {
        let fail = |reason: String| DataError::Template { reason };
        let environment = self.0.as_ref().map_err(|error| fail(format!("does not compile: {error}")))?;
        let template = environment.get_template(NAME).map_err(|error| fail(chain(&error)))?;
        let messages: Vec<Value> = messages
            .iter()
            .map(|message| context! { role => message.role.as_str(), content => message.content.as_str() })
            .collect();
        let specials = specials.iter().map(|(name, token)| (name.as_str(), token.as_str()));
        let values = context! {
            messages => messages,
            add_generation_prompt => add_generation_prompt,
            tools => Value::from(()),
            documents => Value::from(()),
            ..Value::from_pairs(specials)
        };
        template.render(values).map_err(|error| fail(chain(&error)))
    }
}

/// An error with its causes, which minijinja leaves out of its own text.
fn chain(error: &minijinja::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

fn raise_exception(message: String) -> Result<Value, minijinja::Error> {
    Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn render(source: &str) -> Result<String, DataError> {
        let messages = [Message::new("user", " <a> & 'b' \"é\" "), Message::new("assistant", "c")];
        let specials = [("bos_token".to_owned(), "<s>".to_owned())].into();
        Template::new(source).render(&messages, true, &specials)
    }

    #[test]
    fn python_methods_slices_and_specials() {
        let text =
            render("{{ bos_token }}{% for m in messages[1:] %}{{ m.role.upper() }}{{ m['content'].strip() }}{% endfor %}");
        assert_eq!(text.unwrap(), "<s>ASSISTANTc");
        assert_eq!(render("{{ messages[0].content.strip() }}").unwrap(), "<a> & 'b' \"é\"");
        assert_eq!(render("{% if tools is none and documents is none %}x{% endif %}{{ nowhere }}").unwrap(), "x");
    }

    #[test]
    fn blocks_are_trimmed_as_transformers_does() {
        let text =
            render("{% for m in messages %}\n  {%- if loop.first %}\n    {{ m.role }}\n  {% endif %}\n{% endfor %}\nend\n");
        assert_eq!(text.unwrap(), "    user\nend");
    }

    #[test]
    fn loop_controls_work() {
        let text = render("{% for m in messages %}{% if loop.last %}{% continue %}{% endif %}{{ m.role }}{% endfor %}");
        assert_eq!(text.unwrap(), "user");
    }

    #[test]
    fn json_is_pythons() {
        let text = render("{{ {'a': [1, true, none], 'b': messages[0].content}|tojson }}").unwrap();
        assert_eq!(text, r#"{"a": [1, true, null], "b": " <a> & 'b' \"é\" "}"#);
        let text = render("{{ {'b': [], 'a': [1, 2.5]}|tojson(indent=2) }}").unwrap();
        assert_eq!(text, "{\n  \"b\": [],\n  \"a\": [\n    1,\n    2.5\n  ]\n}");
        assert!(render("{{ raise_exception|tojson }}").is_err());
    }

    #[test]
    fn errors_tell_the_cause() {
        let error = render("{{ raise_exception('roles must alternate') }}").unwrap_err().to_string();
        assert!(error.contains("roles must alternate"), "{error}");
        let error = render("{% if %}").unwrap_err().to_string();
        assert!(error.contains("does not compile"), "{error}");
    }
}
