//! One request, and the tries that it takes.
use super::config::HttpConfig;
use super::secret::Secret;
use super::wait::{Gate, backoff, retry_after};
use crate::judge::error::JudgeError;
use crate::judge::template::Reply;
use crate::judge::verdict::{Failure, FailureKind};
use serde_json::Value;
use std::time::{Duration, SystemTime};
use ureq::http::HeaderMap;
use ureq::{Agent, Proxy};

/// Longest body that is read, in bytes.
const MAX_BODY: u64 = 4 << 20;

/// Sends requests to one endpoint.
#[derive(Debug)]
pub(super) struct Client {
    agent: Agent,
    url: String,
    key: Option<(String, Secret)>,
    gate: Gate,
}

/// How one try ended.
enum Attempt {
    /// the body of a good response
    Body(String),
    /// worth another try, not before the server's wait is over
    Again(String, Option<Duration>),
    /// not worth another try
    Over(Failure),
}

impl Client {
    pub(super) fn new(config: &HttpConfig) -> Result<Self, JudgeError> {
        let key = config.key_env.as_deref().map(Secret::from_env).transpose()?;
        let header = config.key_header.clone().unwrap_or_else(|| "Authorization".into());
        let proxy = if config.is_local() { None } else { Proxy::try_from_env() };
        let agent = Agent::config_builder()
            .timeout_global(Some(config.timeout()))
            .timeout_connect(Some(Duration::from_millis(config.connect_timeout_ms)))
            .http_status_as_error(false)
            // a redirect could carry the key to another host
            .max_redirects(0)
            .proxy(proxy)
            .user_agent(concat!("tropism/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        let gate = Gate::new(config.requests_per_minute);
        Ok(Client { agent, url: config.url()?, key: key.map(|k| (header, k)), gate })
    }

    /// Asks until there is a reply or the tries are used up; `key` is the question's.
    pub(super) fn ask(&self, config: &HttpConfig, key: &str, user: &str) -> Result<Reply, Failure> {
        let body = serde_json::to_vec(&config.request(user))
            .map_err(|e| Failure::new(FailureKind::Setup, format!("the request cannot be written: {e}")))?;
        let mut attempt = 0;
        loop {
            self.gate.pass();
            let (reason, asked_for) = match self.try_once(&body) {
                Attempt::Over(failure) => return Err(failure),
                Attempt::Again(reason, wait) => (reason, wait),
                Attempt::Body(text) => match read_reply(&text) {
                    Ok(mut reply) => {
                        reply.text = self.redact(&reply.text);
                        return Ok(reply);
                    }
                    Err(why) => (self.redact(&format!("the response is not a completion: {why}")), None),
                },
            };
            attempt += 1;
            if attempt > config.retries {
                let reason = format!("{reason} (after {attempt} tries)");
                return Err(Failure::new(FailureKind::NotAnswered, reason));
            }
            self.pause(config, key, attempt, asked_for, &reason)?;
        }
    }

    /// Waits before the next try; a wait that the server asked for holds for all threads.
    fn pause(
        &self,
        config: &HttpConfig,
        key: &str,
        attempt: u32,
        asked_for: Option<Duration>,
        reason: &str,
    ) -> Result<(), Failure> {
        if let Some(wait) = asked_for {
            if wait > Duration::from_millis(config.retry_after_max_ms) {
                let reason = format!("{reason}; it asks for a wait of {} s, above retry_after_max_ms", wait.as_secs_f64());
                return Err(Failure::new(FailureKind::NotAnswered, reason));
            }
            self.gate.close_for(wait);
        }
        std::thread::sleep(backoff(config, key, attempt));
        Ok(())
    }

    fn try_once(&self, body: &[u8]) -> Attempt {
        let mut request = self.agent.post(&self.url).header("Content-Type", "application/json");
        if let Some((header, key)) = &self.key {
            // this library writes headers as they are into its log of that level
            if log::log_enabled!(target: "ureq_proto::util", log::Level::Trace) {
                let reason = "logging at level trace would write the key into the log; choose debug or less";
                return Attempt::Over(Failure::new(FailureKind::Setup, reason));
            }
            let bearer = if header.eq_ignore_ascii_case("authorization") { "Bearer " } else { "" };
            request = request.header(header, format!("{bearer}{}", key.expose()));
        }
        let mut response = match request.send(body) {
            Ok(response) => response,
            Err(e) => return self.failed(&e),
        };
        let status = response.status().as_u16();
        let wait = asked_wait(response.headers());
        match response.body_mut().with_config().limit(MAX_BODY).read_to_string() {
            Ok(text) if status == 200 => Attempt::Body(text),
            Ok(text) => self.refused(status, &text, wait),
            Err(e) if status == 200 => self.failed(&e),
            Err(_) => self.refused(status, "", wait),
        }
    }

    /// A request that got no whole response.
    fn failed(&self, error: &ureq::Error) -> Attempt {
        use ureq::Error as E;
        let reason = self.redact(&format!("{}: {error}", self.url));
        match error {
            E::BadUri(_) | E::Http(_) | E::InvalidProxyUrl | E::Tls(_) | E::RequireHttpsOnly(_) => {
                Attempt::Over(Failure::new(FailureKind::Setup, reason))
            }
            _ => Attempt::Again(reason, None),
        }
    }

    /// A response that says no.
    fn refused(&self, status: u16, body: &str, wait: Option<Duration>) -> Attempt {
        let said: String = self.redact(body).split_whitespace().collect::<Vec<_>>().join(" ").chars().take(200).collect();
        let said = if said.is_empty() { said } else { format!(": {said}") };
        let over =
            |kind, hint: &str| Attempt::Over(Failure::new(kind, format!("{}: status {status}{hint}{said}", self.url)));
        match status {
            408 | 409 | 425 | 429 | 500..=599 => Attempt::Again(format!("{}: status {status}{said}", self.url), wait),
            401 | 403 => over(FailureKind::Setup, ", the key is not accepted"),
            404 | 405 => over(FailureKind::Setup, ", there is no such endpoint or model"),
            300..=399 => over(FailureKind::Setup, ", a redirect; give the address that it leads to"),
            _ => over(FailureKind::NotAnswered, ""),
        }
    }

    fn redact(&self, text: &str) -> String {
        self.key.as_ref().map_or_else(|| text.to_owned(), |(_, key)| key.redact(text))
    }
}

fn asked_wait(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
    retry_after(text("retry-after-ms"), text("retry-after"), SystemTime::now())
}

/// The parts of a completion that a judge needs.
fn read_reply(text: &str) -> Result<Reply, String> {
    let body: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let choice = &body["choices"][0];
    let Some(content) = choice["message"]["content"].as_str() else {
        let said: String = text.chars().take(100).collect();
        return Err(format!("there is no text in choices[0].message.content; it begins {said:?}"));
    };
    let top = choice["logprobs"]["content"][0]["top_logprobs"].as_array();
    let pair = |t: &Value| Some((t["token"].as_str()?.to_owned(), t["logprob"].as_f64()?));
    Ok(Reply {
        text: content.to_owned(),
        first_token: top.into_iter().flatten().filter_map(pair).collect(),
        cut: choice["finish_reason"] == "length",
    })
}
