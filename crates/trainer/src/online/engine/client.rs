//! One request, and the tries that it takes.
use super::options::OpenAiEngine;
use serde_json::Value;
use std::time::Duration;
use ureq::http::HeaderMap;
use ureq::{Agent, Proxy};

/// Longest body that is read, in bytes.
const MAX_BODY: u64 = 64 << 20;

/// Longest wait that a server may ask for.
const LONGEST_RETRY_AFTER: f64 = 120.0;

/// Sends requests to one server.
pub(crate) struct Client {
    agent: Agent,
    key: Option<String>,
}

/// How one try ended.
enum Attempt {
    /// the body of a good response
    Body(Value),
    /// worth another try, not before the server's wait is over
    Again(String, Option<Duration>),
    /// not worth another try
    Over(String),
}

impl Client {
    pub(crate) fn new(options: &OpenAiEngine) -> Self {
        // that the variable can be used was checked with the options
        let key = options.key_env.as_deref().and_then(|v| std::env::var(v).ok()).map(|k| k.trim().to_owned());
        let agent = Agent::config_builder()
            .timeout_global(Some(options.timeout()))
            .timeout_connect(Some(options.connect_timeout()))
            .http_status_as_error(false)
            // a redirect could carry the key to another host
            .max_redirects(0)
            .proxy(if options.is_local() { None } else { Proxy::try_from_env() })
            .max_idle_connections_per_host(options.concurrency)
            .user_agent(concat!("tropism/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        Client { agent, key }
    }

    /// Posts until there is a response that `read` accepts, or the tries are used up. `read` says of a response that it is
    /// refused whether another try could help (`true`).
    pub(crate) fn post<T>(
        &self,
        options: &OpenAiEngine,
        url: &str,
        body: &Value,
        mut read: impl FnMut(Value) -> Result<T, (bool, String)>,
        stop: &dyn Fn() -> bool,
    ) -> Result<T, String> {
        let text = body.to_string();
        let mut attempt = 0;
        loop {
            let (reason, asked_for) = match self.try_once(url, &text) {
                Attempt::Over(reason) => return Err(reason),
                Attempt::Again(reason, wait) => (reason, wait),
                Attempt::Body(value) => match read(value) {
                    Ok(found) => return Ok(found),
                    Err((false, reason)) => return Err(reason),
                    Err((true, reason)) => (reason, None),
                },
            };
            attempt += 1;
            if attempt > options.retries || stop() {
                return Err(format!("{reason} (after {attempt} tries)"));
            }
            std::thread::sleep(options.backoff(attempt).max(asked_for.unwrap_or_default()));
        }
    }

    fn try_once(&self, url: &str, body: &str) -> Attempt {
        let mut request = self.agent.post(url).header("Content-Type", "application/json");
        if let Some(key) = &self.key {
            request = request.header("Authorization", format!("Bearer {key}"));
        }
        let mut response = match request.send(body) {
            Ok(response) => response,
            Err(e) => return self.failed(&e),
        };
        let (status, wait) = (response.status().as_u16(), retry_after(response.headers()));
        let text = match response.body_mut().with_config().limit(MAX_BODY).read_to_string() {
            Ok(text) => text,
            Err(e) if status == 200 => return self.failed(&e),
            Err(_) => String::new(),
        };
        if status != 200 {
            return self.refused(status, &text, wait);
        }
        // a reload may answer with nothing at all
        match text.trim() {
            "" => Attempt::Body(Value::Null),
            text => match serde_json::from_str(text) {
                Ok(value) => Attempt::Body(value),
                Err(e) => Attempt::Again(format!("the response is not JSON: {e}"), None),
            },
        }
    }

    /// A request that got no whole response.
    fn failed(&self, error: &ureq::Error) -> Attempt {
        use ureq::Error as E;
        let reason = self.redact(&error.to_string());
        match error {
            E::BadUri(_) | E::Http(_) | E::InvalidProxyUrl | E::Tls(_) | E::RequireHttpsOnly(_) => Attempt::Over(reason),
            _ => Attempt::Again(reason, None),
        }
    }

    /// A response that says no.
    fn refused(&self, status: u16, body: &str, wait: Option<Duration>) -> Attempt {
        let said: String = self.redact(body).split_whitespace().collect::<Vec<_>>().join(" ").chars().take(300).collect();
        let said = if said.is_empty() { said } else { format!(": {said}") };
        match status {
            408 | 409 | 425 | 429 | 500..=599 => Attempt::Again(format!("status {status}{said}"), wait),
            401 | 403 => Attempt::Over(format!("status {status}, the key is not accepted{said}")),
            404 | 405 => Attempt::Over(format!("status {status}, there is no such endpoint or model{said}")),
            _ => Attempt::Over(format!("status {status}{said}")),
        }
    }

    fn redact(&self, text: &str) -> String {
        self.key.as_ref().map_or_else(|| text.to_owned(), |key| text.replace(key.as_str(), "[key]"))
    }
}

/// The wait in seconds that a server asks for; a date is not read.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: f64 = headers.get("retry-after")?.to_str().ok()?.trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds.min(LONGEST_RETRY_AFTER)).ok()
}
