//! Saving a tokenizer, and giving it another template or token policy.

use std::path::Path;

use super::load::TEMPLATE_FILE;
use super::policy::{self, Ends};
use super::{BuiltIn, ChatTemplate, TemplateLimits, TokenPolicy, Tokenizer};
use crate::DataError;
use crate::digest::{hex, of_parts};

impl Tokenizer {
    /// SHA-256 over names and bytes of the tokenizer's files, in hexadecimal: what a checkpoint should record.
    pub fn hash(&self) -> String {
        let parts: Vec<&[u8]> = self.files.iter().flat_map(|(name, bytes)| [name.as_bytes(), &bytes[..]]).collect();
        hex(&of_parts(&parts))
    }

    /// Writes the tokenizer's files to a folder, byte for byte as they were loaded, trained or given.
    ///
    /// # Errors
    /// Where the folder or a file cannot be written.
    pub fn save(&self, dir: &Path) -> Result<(), DataError> {
        let failed = |path: &Path, error: &std::io::Error| DataError::File {
            path: path.to_owned(),
            reason: format!("cannot be written: {error}"),
        };
        std::fs::create_dir_all(dir).map_err(|error| failed(dir, &error))?;
        for (name, bytes) in &self.files {
            let path = dir.join(name);
            std::fs::write(&path, bytes).map_err(|error| failed(&path, &error))?;
        }
        Ok(())
    }

    /// The tokenizer with a template of its own choosing, which is saved as `chat_template.jinja`.
    ///
    /// # Errors
    /// A template that does not compile.
    pub fn with_template(mut self, source: &str, limits: TemplateLimits) -> Result<Self, DataError> {
        let template = ChatTemplate::new(source, limits);
        template.check()?;
        self.template = Some(template);
        self.files.insert(TEMPLATE_FILE.to_owned(), source.as_bytes().to_vec());
        Ok(self)
    }

    /// The tokenizer with a template that comes with the crate.
    ///
    /// ```
    /// use tropism_data::{record::Message, text::{BuiltIn, Tokenizer}};
    /// let tokenizer = Tokenizer::train(["the rain in Spain"].into_iter(), 262)?;
    /// let error = tokenizer.clone().with_built_in(BuiltIn::Llama3).unwrap_err().to_string();
    /// assert!(error.contains("template llama3: "));
    /// let text = tokenizer.with_built_in(BuiltIn::Qwen)?.render(&[Message::new("user", "rain?")], false)?;
    /// assert!(text.starts_with("<|im_start|>system\nYou are Qwen"));
    /// # Ok::<(), tropism_data::DataError>(())
    /// ```
    ///
    /// # Errors
    /// A tokenizer without the marks or special tokens that the template writes.
    pub fn with_built_in(self, template: BuiltIn) -> Result<Self, DataError> {
        let fail = |reason: String| {
            let reason = format!("template {template}: {reason}; take another template, or a tokenizer made for this one");
            Err(DataError::Tokenizer { name: self.name.clone(), reason })
        };
        if let Some(name) = template.specials().iter().find(|name| !self.specials.contains_key(**name)) {
            return fail(format!("the tokenizer names no {name}"));
        }
        let single = |mark: &str| self.encode(mark).is_ok_and(|ids| ids.len() == 1);
        if let Some(mark) = template.marks().iter().find(|mark| !single(mark)) {
            return fail(format!("`{mark}` is no token of the vocabulary"));
        }
        self.with_template(template.source(), TemplateLimits::default())
    }

    /// The tokenizer with limits of their own on what its template may use up. Limits are not saved.
    pub fn with_template_limits(mut self, limits: TemplateLimits) -> Self {
        self.template = self.template.map(|template| ChatTemplate::new(template.source(), limits));
        self
    }

    /// The tokenizer with another policy, which is saved as `token_policy.json` where it is not the default.
    ///
    /// # Errors
    /// A policy that wants a token always that the tokenizer does not name.
    pub fn with_policy(mut self, policy: TokenPolicy) -> Result<Self, DataError> {
        let fail = |reason: String| DataError::Tokenizer { name: self.name.clone(), reason };
        let ends = Ends { policy, ..self.ends };
        ends.check().map_err(&fail)?;
        if policy == TokenPolicy::default() {
            self.files.remove(policy::FILE);
        } else {
            let json = serde_json::to_string_pretty(&policy).map_err(|error| fail(error.to_string()))?;
            self.files.insert(policy::FILE.to_owned(), (json + "\n").into_bytes());
        }
        self.ends = ends;
        Ok(self)
    }
}
