//! A judge behind an OpenAI-compatible endpoint.
//!
//! Each question is looked up in the cache, else sent, tried again with growing waits when that may help, and kept. A
//! reply is kept as text, so that it can be read again by another parser. The key is taken from the environment, goes into
//! one header, and is cut out of every reply and message.

mod cache;
mod client;
mod config;
mod secret;
mod wait;

pub use config::HttpConfig;

use super::error::JudgeError;
use super::key::content_key;
use super::template::{Reply, ReplyForm};
use super::verdict::{Choice, Failure, FailureKind, Judge, Question, Verdict};
use cache::Cache;
use client::Client;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A language model that compares answers, or rates each and prefers the higher rating.
#[derive(Debug)]
pub struct HttpJudge {
    config: HttpConfig,
    settings: String,
    client: Client,
    cache: Option<Cache>,
    cached: AtomicUsize,
}

impl HttpJudge {
    /// Checks the settings, reads the key and opens the cache; sends nothing.
    ///
    /// ```
    /// use tropism_evaluation::judge::http::{HttpConfig, HttpJudge};
    /// let judge = HttpJudge::new(HttpConfig { model: "my-model".into(), ..HttpConfig::default() })?;
    /// assert_eq!(judge.cached(), 0);
    /// # Ok::<(), tropism_evaluation::judge::JudgeError>(())
    /// ```
    ///
    /// # Errors
    /// A setting without a usable value, a variable that is not set, a folder that cannot be made.
    pub fn new(config: HttpConfig) -> Result<Self, JudgeError> {
        config.check()?;
        let client = Client::new(&config)?;
        let cache = config.cache.as_deref().map(Cache::open).transpose()?;
        Ok(HttpJudge { settings: config.settings(), config, client, cache, cached: AtomicUsize::new(0) })
    }

    /// Replies taken from the cache so far.
    pub fn cached(&self) -> usize {
        self.cached.load(Ordering::Relaxed)
    }

    /// The rating of one answer, for templates that rate.
    ///
    /// # Errors
    /// A template of another form; a reply without a rating; no reply.
    pub fn rate(&self, prompt: &str, answer: &str) -> Result<f64, Failure> {
        let ReplyForm::Rating { low, high } = self.config.template.reply else {
            return Err(Failure::new(FailureKind::Setup, "this template compares answers, it rates none"));
        };
        self.reply(&[("{prompt}", prompt), ("{answer}", answer)])?.rating(low, high)
    }

    /// The reply to a filled template, from the cache or from the endpoint.
    fn reply(&self, parts: &[(&str, &str)]) -> Result<Reply, Failure> {
        let texts = parts.iter().map(|(_, text)| *text);
        let key = content_key(&std::iter::once(self.settings.as_str()).chain(texts).collect::<Vec<_>>());
        if let Some(reply) = self.cache.as_ref().and_then(|c| c.get(&key)) {
            self.cached.fetch_add(1, Ordering::Relaxed);
            return Ok(reply);
        }
        let reply = self.client.ask(&self.config, &key, &self.config.template.fill(parts))?;
        if let Some(cache) = &self.cache {
            cache.put(&key, &reply).map_err(|e| Failure::new(FailureKind::Setup, e.to_string()))?;
        }
        Ok(reply)
    }
}

impl Judge for HttpJudge {
    fn identity(&self) -> String {
        format!("http {}", self.settings)
    }

    fn judge(&self, q: Question<'_>) -> Result<Verdict, Failure> {
        if self.config.template.reply.is_rating() {
            let (a, b) = (self.rate(q.prompt, q.a)?, self.rate(q.prompt, q.b)?);
            return Ok(Verdict::plain(Choice::larger(a, b, self.config.tie_within)));
        }
        self.reply(&[("{prompt}", q.prompt), ("{a}", q.a), ("{b}", q.b)])?.verdict(self.config.template.reply)
    }

    fn reads_order(&self) -> bool {
        !self.config.template.reply.is_rating()
    }
}
