//! Chat templates: Jinja as transformers runs it, within limits.

mod builtin;
mod context;
mod generation;
mod json;
mod python;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{Environment, ErrorKind};
use serde::{Deserialize, Serialize};

pub use builtin::BuiltIn;
pub(super) use context::{Shared, tools, turns};
pub(super) use generation::Marked;

use super::deep::on_deep_stack;
use crate::DataError;
use context::Root;

const NAME: &str = "chat_template";

/// Longest template that is compiled, in bytes, and longest expression or tag in it, texts in quotes not counted. The longest
/// templates in public use have about 20,000.
const LONGEST_SOURCE: usize = 1 << 20;
const LONGEST_CONSTRUCT: usize = 1 << 14;

/// Stack to compile on: the engine recurses over expressions, one level to a byte at worst.
const COMPILER_STACK: usize = LONGEST_CONSTRUCT << 13;

/// What a template may use up, since it comes with a download and is a program.
///
/// Every instruction costs one unit of `work`, and every 64 bytes that are made or read cost another, so `work` bounds both
/// time and memory: the default allows some tenths of a second and 16 MiB. A conversation of 100 turns costs
/// about 3,000 units, and a text of 1 MiB another 16,000 each time that the template copies it. `work` also bounds how deep values
/// can be nested, and with it the stack that rendering gets (1 KiB of addresses to a unit).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TemplateLimits {
    /// Instructions and data of one rendering.
    pub work: u64,
    /// Bytes of the rendered text.
    pub output: usize,
    /// Depth of macros, loops and blocks within each other.
    pub depth: usize,
}

impl Default for TemplateLimits {
    fn default() -> Self {
        Self { work: 1 << 18, output: 1 << 26, depth: 100 }
    }
}

/// A compiled template, or why it does not compile.
type Compiled = Result<Arc<Environment<'static>>, String>;

/// A conversation to render.
#[derive(Debug, Clone)]
pub(super) struct Chat {
    /// The messages as values (see [`turns`]).
    pub(super) turns: Vec<Value>,
    /// The tools as a value (see [`tools`]).
    pub(super) tools: Value,
    /// Whether the text ends in the opening of an assistant turn.
    pub(super) open: bool,
}

/// A chat template.
///
/// The source is compiled at once; why it does not compile matters only to those who render. It sees `messages`, `tools`,
/// `documents` (none), `add_generation_prompt` and the special tokens by name, the functions `raise_exception` and `namespace`,
/// Python's methods of strings, maps and lists, and `tojson` as Python writes it. `strftime_now` is not defined: a text that
/// changes with the day could not be made again, and templates that ask for it have a date of their own to fall back on.
///
/// The tags `{% generation %}` and `{% endgeneration %}` mark what the assistant wrote, see [`crate::text::AssistantMask`].
#[derive(Debug, Clone)]
pub struct ChatTemplate {
    source: Arc<str>,
    compiled: Compiled,
    /// The template that marks what the assistant wrote, where it has tags for it.
    marking: Option<Compiled>,
    reads_tools: bool,
    limits: TemplateLimits,
}

impl ChatTemplate {
    /// Compiles a template.
    pub fn new(source: &str, limits: TemplateLimits) -> Self {
        let (plain, tags) = generation::translate(source, false);
        let longest = generation::longest_construct(source);
        let compiled = compile(plain, longest, &limits);
        let marking = tags.then(|| compile(generation::translate(source, true).0, longest, &limits));
        let reads_tools = compiled.as_ref().is_ok_and(|environment| {
            environment.get_template(NAME).is_ok_and(|template| template.undeclared_variables(false).contains("tools"))
        });
        Self { source: source.into(), compiled, marking, reads_tools, limits }
    }

    /// Whether the template compiles.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), DataError> {
        let versions = std::iter::once(&self.compiled).chain(&self.marking);
        let error = versions.filter_map(|compiled| compiled.as_ref().err()).next();
        error.map_or(Ok(()), |error| Err(DataError::Template { reason: format!("does not compile: {error}") }))
    }

    /// The template as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The limits that it was given.
    pub fn limits(&self) -> &TemplateLimits {
        &self.limits
    }

    /// Whether the template reads `tools`.
    pub fn shows_tools(&self) -> bool {
        self.reads_tools
    }

    /// Whether the template marks what the assistant wrote.
    pub fn has_generation_tags(&self) -> bool {
        self.marking.is_some()
    }

    /// The text of a conversation.
    pub(super) fn render(&self, chat: &Chat, shared: &Arc<Shared>) -> Result<String, DataError> {
        self.run(&self.compiled, chat, shared)
    }

    /// The text of a conversation with the ranges that the template's tags say the assistant wrote.
    pub(super) fn render_marked(&self, chat: &Chat, shared: &Arc<Shared>) -> Result<Marked, DataError> {
        let Some(marking) = &self.marking else {
            let reason = "has no {% generation %} tags; take the assistant's turns by prefix, or a template with tags";
            return Err(DataError::Template { reason: reason.to_owned() });
        };
        let marked = Marked::read(&self.run(marking, chat, shared)?)?;
        // a filter around a marked block may see the marks; then the text without them is another
        if marked.text != self.render(chat, shared)? {
            let reason = "changes a text that its generation tags enclose; put the tags outside of filters and macros";
            return Err(DataError::Template { reason: reason.to_owned() });
        }
        Ok(marked)
    }

    fn run(&self, compiled: &Compiled, chat: &Chat, shared: &Arc<Shared>) -> Result<String, DataError> {
        let fail = |reason: String| DataError::Template { reason };
        let environment = compiled.as_ref().map_err(|error| fail(format!("does not compile: {error}")))?;
        if !chat.tools.is_none() && !self.reads_tools {
            return Err(fail("does not show tools, and the row has some; take a template that does".to_owned()));
        }
        let root = Root {
            messages: Value::from(chat.turns.clone()),
            tools: chat.tools.clone(),
            add_generation_prompt: chat.open,
            shared: Arc::clone(shared),
        };
        let template = environment.get_template(NAME).map_err(|error| fail(chain(&error)))?;
        let mut output = Bounded { bytes: Vec::with_capacity(root.size_hint()), most: self.limits.output, over: false };
        let result = template.render_captured_to(Value::from_object(root), &mut output).map(drop);
        if output.over {
            return Err(fail(format!("writes more than {} bytes, its limit", self.limits.output)));
        }
        result.map_err(|error| fail(self.explain(&error)))?;
        String::from_utf8(output.bytes).map_err(|error| fail(error.to_string()))
    }

    fn explain(&self, error: &minijinja::Error) -> String {
        let text = chain(error);
        match error.kind() {
            ErrorKind::OutOfFuel => format!("needs more than {} units of work, its limit: {text}", self.limits.work),
            _ => text,
        }
    }
}

fn compile(source: String, longest: usize, limits: &TemplateLimits) -> Compiled {
    if source.len() > LONGEST_SOURCE {
        return Err(format!("is {} bytes long; at most {LONGEST_SOURCE} are read", source.len()));
    }
    if longest > LONGEST_CONSTRUCT {
        return Err(format!("has an expression or tag of {longest} bytes; at most {LONGEST_CONSTRUCT} are read"));
    }
    let limits = *limits;
    let compiled = on_deep_stack(COMPILER_STACK, move || {
        let mut environment = environment(&limits);
        environment.add_template_owned(NAME, source).map_err(|error| chain(&error))?;
        Ok(Arc::new(environment))
    });
    compiled.unwrap_or_else(|error| Err(error.to_string()))
}

fn environment(limits: &TemplateLimits) -> Environment<'static> {
    let mut environment = Environment::new();
    // with the standard delimiters this cannot fail
    if let Ok(syntax) = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build() {
        environment.set_syntax(syntax);
    }
    environment.set_fuel(Some(limits.work));
    environment.set_recursion_limit(limits.depth);
    environment.set_unknown_method_callback(python::method);
    environment.add_filter("trim", python::trim);
    environment.add_function("raise_exception", raise_exception);
    environment.add_function(generation::FUNCTION, generation::mark);
    environment.add_filter("tojson", json::to_json);
    environment
}

/// Text that may only grow so far.
struct Bounded {
    bytes: Vec<u8>,
    most: usize,
    over: bool,
}

impl io::Write for &mut Bounded {
    fn write(&mut self, new: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + new.len() > self.most {
            self.over = true;
            return Err(io::Error::other("too long"));
        }
        self.bytes.extend_from_slice(new);
        Ok(new.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
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

/// The special tokens that templates see by name.
pub(super) type Specials = BTreeMap<String, String>;

#[cfg(test)]
mod tests;
