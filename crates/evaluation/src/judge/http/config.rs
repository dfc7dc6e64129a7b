//! Settings of a judge behind an endpoint.
use crate::judge::error::JudgeError;
use crate::judge::template::{ReplyForm, Template, named_or_written};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::path::PathBuf;
use std::time::Duration;

/// A language model behind an OpenAI-compatible `chat/completions` endpoint: vLLM, the llama.cpp server and others.
///
/// The key stands in the environment variable that `key_env` names, never in here. `model`, `template` and the settings of
/// sampling make the judge's identity. The address does not, for a server may move, nor do waits and limits: two models
/// need two names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// base address (`http://localhost:8000/v1`) or the whole address of `chat/completions`
    pub endpoint: String,
    /// name of the model, as the endpoint knows it
    pub model: String,
    /// environment variable that holds the key; nothing for endpoints without
    pub key_env: Option<String>,
    /// header that takes the bare key; nothing for `Authorization: Bearer KEY`
    pub key_header: Option<String>,
    /// PEM file of the authorities that an https endpoint is trusted by; nothing for Mozilla's
    pub ca_file: Option<PathBuf>,
    /// the question in words, or the name of one ([`Template::named`])
    #[serde(deserialize_with = "named_or_written")]
    pub template: Template,
    /// temperature of sampling
    pub temperature: f64,
    /// longest reply, in tokens
    pub max_tokens: u32,
    /// what the request calls it; some endpoints want `max_completion_tokens`
    pub max_tokens_key: String,
    /// seed of sampling, for endpoints that take one
    pub seed: Option<u64>,
    /// further keys of the request
    pub extra: Map<String, Value>,
    /// ratings not more than this apart are a tie
    pub tie_within: f64,
    /// longest wait for one reply, all of it
    pub timeout_ms: u64,
    /// longest wait for a connection
    pub connect_timeout_ms: u64,
    /// further tries of a request that failed for the moment
    pub retries: u32,
    /// wait before the first further try; it doubles each time
    pub backoff_ms: u64,
    /// longest of these waits
    pub backoff_max_ms: u64,
    /// longest wait that an endpoint may ask for (`Retry-After`); above it the request has failed
    pub retry_after_max_ms: u64,
    /// seed of the random part of waits
    pub jitter_seed: u64,
    /// most requests a minute, evenly spaced; nothing for no limit
    pub requests_per_minute: Option<f64>,
    /// folder that keeps every reply by the content of its question
    pub cache: Option<PathBuf>,
}

impl Default for HttpConfig {
    fn default() -> Self {
        HttpConfig {
            endpoint: "http://localhost:8000/v1".into(),
            model: String::new(),
            key_env: None,
            key_header: None,
            ca_file: None,
            template: Template::pairwise(),
            temperature: 0.0,
            max_tokens: 1024,
            max_tokens_key: "max_tokens".into(),
            seed: None,
            extra: Map::new(),
            tie_within: 0.1,
            timeout_ms: 120_000,
            connect_timeout_ms: 10_000,
            retries: 5,
            backoff_ms: 500,
            backoff_max_ms: 30_000,
            retry_after_max_ms: 120_000,
            jitter_seed: 0,
            requests_per_minute: None,
            cache: None,
        }
    }
}

/// Keys of a request that have a setting of their own, or that this judge cannot read a reply to.
const TAKEN: [&str; 9] =
    ["model", "messages", "temperature", "max_tokens", "seed", "stream", "logprobs", "top_logprobs", "n"];

impl HttpConfig {
    /// Makes sure that everything has a usable value.
    ///
    /// # Errors
    /// The first setting that has none.
    pub fn check(&self) -> Result<(), JudgeError> {
        let refuse = |key, problem: &str| Err(JudgeError::config(key, problem));
        self.url()?;
        self.template.check()?;
        if self.model.is_empty() {
            return refuse("model", "is empty; give the name that the endpoint knows the model by");
        }
        if let Some(taken) = self.extra.keys().find(|k| TAKEN.contains(&k.as_str())) {
            return Err(JudgeError::config("extra", format!("`{taken}` is set by the judge itself; take it out of here")));
        }
        if !(self.temperature.is_finite() && self.temperature >= 0.0) {
            return refuse("temperature", "has to be 0 or more");
        }
        if !(self.tie_within.is_finite() && self.tie_within >= 0.0) {
            return refuse("tie_within", "has to be 0 or more");
        }
        if self.max_tokens == 0 || self.timeout_ms == 0 || self.connect_timeout_ms == 0 {
            return refuse("max_tokens", "this and the time limits have to be at least 1");
        }
        match self.requests_per_minute {
            Some(n) if !(n.is_finite() && n > 0.0) => refuse("requests_per_minute", "has to be above 0, or left out"),
            _ => Ok(()),
        }
    }

    /// The whole address.
    pub(super) fn url(&self) -> Result<String, JudgeError> {
        let refuse = |problem: &str| Err(JudgeError::config("endpoint", problem));
        let plain = self.endpoint.trim_end_matches('/');
        let Some(rest) = plain.strip_prefix("http://").or_else(|| plain.strip_prefix("https://")) else {
            return refuse("has to begin with http:// or https://");
        };
        let host = rest.split('/').next().unwrap_or_default();
        if host.contains('@') || plain.contains(['?', '#']) {
            // an address is written to files, so it must not hold anything secret
            return refuse("holds a user, a query or a fragment; put the key into a variable and name it by `key_env`");
        }
        if host.is_empty() || plain.contains(char::is_whitespace) {
            return refuse("has no host, or spaces in it");
        }
        Ok(match plain.ends_with("/chat/completions") {
            true => plain.to_owned(),
            false => format!("{plain}/chat/completions"),
        })
    }

    /// Whether the endpoint is on this machine.
    pub(super) fn is_local(&self) -> bool {
        let host = self.endpoint.split("://").nth(1).and_then(|r| r.split('/').next()).unwrap_or_default();
        let host = host.rsplit_once(':').map_or(host, |(h, port)| if port.ends_with(']') { host } else { h });
        host == "localhost" || host.starts_with("127.") || host == "[::1]"
    }

    /// The request, as JSON.
    pub(super) fn request(&self, user: &str) -> Value {
        let mut messages = vec![];
        if !self.template.system.is_empty() {
            messages.push(serde_json::json!({"role": "system", "content": self.template.system}));
        }
        messages.push(serde_json::json!({"role": "user", "content": user}));
        let mut body = self.extra.clone();
        body.insert("model".into(), self.model.clone().into());
        body.insert("messages".into(), messages.into());
        body.insert("temperature".into(), self.temperature.into());
        body.insert(self.max_tokens_key.clone(), self.max_tokens.into());
        if let Some(seed) = self.seed {
            body.insert("seed".into(), seed.into());
        }
        if self.template.reply == ReplyForm::Letter {
            body.insert("logprobs".into(), true.into());
            body.insert("top_logprobs".into(), 20.into());
        }
        Value::Object(body)
    }

    /// All that may change a verdict, as one text.
    pub(super) fn settings(&self) -> String {
        let seed = self.seed.map_or("none".to_owned(), |s| s.to_string());
        let template = serde_json::to_string(&self.template).unwrap_or_default();
        let extra = serde_json::to_string(&self.extra).unwrap_or_default();
        format!("{}\n{template}\n{} {} {seed} {}\n{extra}", self.model, self.temperature, self.max_tokens, self.tie_within)
    }

    pub(super) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let url = |endpoint: &str| HttpConfig { endpoint: endpoint.into(), ..HttpConfig::default() }.url();
        assert_eq!(url("http://localhost:8000/v1/").ok().as_deref(), Some("http://localhost:8000/v1/chat/completions"));
        let whole = "https://host/openai/deployments/m/chat/completions";
        assert_eq!(url(whole).ok().as_deref(), Some(whole));
        for bad in ["localhost:8000", "http://", "https://me:sesame@host/v1", "https://host/v1?key=sesame", "http://a b/v1"]
        {
            let said = url(bad).err().map(|e| e.to_string()).unwrap_or_default();
            assert!(said.contains("endpoint") && !said.contains("sesame"), "{bad}: {said}");
        }
        let local = |endpoint: &str| HttpConfig { endpoint: endpoint.into(), ..HttpConfig::default() }.is_local();
        assert!(
            local("http://localhost:1/v1")
                && local("http://127.0.0.1/v1")
                && local("http://[::1]:80")
                && local("http://[::1]")
        );
        assert!(!local("https://example.org/v1") && !local("http://10.0.0.1:80"));
    }

    #[test]
    fn settings_that_cannot_be_used() {
        let good = HttpConfig { model: "m".into(), ..HttpConfig::default() };
        assert!(good.check().is_ok());
        let mut stream = good.clone();
        stream.extra.insert("stream".into(), true.into());
        let bad = [
            HttpConfig { model: String::new(), ..good.clone() },
            HttpConfig { temperature: f64::NAN, ..good.clone() },
            HttpConfig { requests_per_minute: Some(0.0), ..good.clone() },
            HttpConfig { timeout_ms: 0, ..good },
            stream,
        ];
        assert!(bad.iter().all(|c| c.check().is_err()));
    }
}
