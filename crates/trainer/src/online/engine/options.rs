//! The options of a rollout by a server.
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
#[cfg(feature = "http")]
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use tropism_lm::WeightDtype;

/// Who writes the completions of a rollout, where it is not this program. In a configuration file the name stands in `type`,
/// options stand beside it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Engine {
    /// a server with the `completions` endpoint of OpenAI; see [`OpenAiEngine`]
    Openai(OpenAiEngine),
}

/// A server with an OpenAI-compatible `completions` endpoint: vLLM, SGLang, the llama.cpp server and others.
///
/// **What is asked.** Every completion is one request: the prompt as a list of token ids, `max_tokens`, `temperature`,
/// `logprobs`, a `seed` of its own, `stop_token_ids` and `stop`, and keys that make servers name tokens by their ids
/// (`return_token_ids`, `return_tokens_as_token_ids`). `user` is `SEED/PLACE/NUMBER`: the round's seed, the prompt's place in
/// the round and the completion's number in its group.
///
/// **What is read.** Ids stand in the choice's `token_ids`, in `logprobs.content[].id`, or in `logprobs.tokens` as
/// `token_id:ID`; a token that is given as text counts only where exactly one token of the vocabulary has that text.
/// Anything else ends the run, and so does a server that read another number of prompt tokens than were sent. Completions
/// are ended by the stage's own stop tokens and stop strings, whatever the server knows of these.
///
/// **How the server gets the policy.** Before a step samples, the policy stands in `folder` as a Hugging Face folder with the
/// tokenizer's files (an adapter merged), written under a temporary name and renamed. Then
/// - with `reload_url`, that address gets `reload_body` by POST, and a reply of status 200 means that the new weights are in
///   use (SGLang: `…/update_weights_from_disk` with `{ model_path = "{folder}" }`, the default; vLLM in development mode:
///   `…/collective_rpc` with `{ method = "reload_weights" }`; `{folder}` in a text stands for the folder's path);
/// - without it, the server has to watch the folder. `version.txt` in it holds the policy's version, and every response must
///   repeat it as `system_fingerprint`; one with another version is asked for again until `timeout_s` is over.
///
/// **Log-probabilities** are those of the distribution that tokens were drawn from, temperature included. The ones of each
/// step's first group are compared with the trainer's: within `agreement` nats the server's serve as the old policy's, else
/// the trainer computes them again; further apart than `max_difference` on average, the server does not run this policy,
/// and the run ends.
///
/// **Trouble.** Requests are bounded in time and tried again with growing waits. When the tries are used up the run writes a
/// checkpoint with all completions that have come, and ends; resumed, it asks for the missing ones only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenAiEngine {
    /// base address (`http://localhost:8000/v1`) or the whole address of `completions`
    pub url: String,
    /// name of the model, as the server knows it
    pub model: String,
    /// where the policy is written for the server
    pub folder: PathBuf,
    /// how its weights are stored there; anything but `f32` makes the server's policy a rounded one
    #[serde(default)]
    pub dtype: WeightDtype,
    /// address that makes the server load the folder; left out where the server watches it
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reload_url: Option<String>,
    /// body of that request
    #[serde(default = "reload_body")]
    pub reload_body: Map<String, Value>,
    /// environment variable that holds the key; nothing for servers without
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_env: Option<String>,
    /// longest wait for one response, all of it, in seconds
    #[serde(default = "timeout_s")]
    pub timeout_s: f64,
    /// longest wait for a connection, in seconds
    #[serde(default = "connect_timeout_s")]
    pub connect_timeout_s: f64,
    /// further tries of a request that failed
    #[serde(default = "retries")]
    pub retries: u32,
    /// wait before the first further try, in seconds; it doubles each time, up to half a minute
    #[serde(default = "backoff_s")]
    pub backoff_s: f64,
    /// requests at a time
    #[serde(default = "concurrency")]
    pub concurrency: usize,
    /// most nats between the server's log-probabilities and the trainer's that count as agreement
    #[serde(default = "agreement")]
    pub agreement: f64,
    /// mean difference in nats above which the server does not run this policy
    #[serde(default = "max_difference")]
    pub max_difference: f64,
    /// further keys of each request, for one server's own settings; a key set to `false` or a text here replaces the request's own
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
}

fn reload_body() -> Map<String, Value> {
    Map::from_iter([("model_path".to_owned(), "{folder}".into())])
}
fn timeout_s() -> f64 {
    300.0
}
fn connect_timeout_s() -> f64 {
    10.0
}
fn retries() -> u32 {
    5
}
fn backoff_s() -> f64 {
    0.5
}
fn concurrency() -> usize {
    32
}
fn agreement() -> f64 {
    1e-3
}
fn max_difference() -> f64 {
    0.5
}

/// Longest wait between two tries.
#[cfg(feature = "http")]
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);

/// Keys of a request that carry what is sampled.
const TAKEN: [&str; 8] = ["model", "prompt", "max_tokens", "temperature", "seed", "n", "stream", "logprobs"];

impl Engine {
    /// What is wrong with the options, as it follows `rollout.engine`.
    pub(crate) fn problem(&self) -> Option<String> {
        let Engine::Openai(e) = self;
        if cfg!(not(feature = "http")) {
            return Some("is set, but this program was built without its feature `http`".into());
        }
        e.problem()
    }

    /// What has to be the same when a run goes on: everything but where the server stands and how it is waited for.
    pub(crate) fn kept(&self) -> Self {
        let Engine::Openai(e) = self;
        Engine::Openai(OpenAiEngine {
            url: String::new(),
            folder: PathBuf::new(),
            reload_url: None,
            reload_body: Map::new(),
            key_env: None,
            timeout_s: 0.0,
            connect_timeout_s: 0.0,
            retries: 0,
            backoff_s: 0.0,
            concurrency: 0,
            ..e.clone()
        })
    }
}

impl OpenAiEngine {
    /// A server that watches `folder`, with the defaults.
    pub fn new(url: impl Into<String>, model: impl Into<String>, folder: impl Into<PathBuf>) -> Self {
        OpenAiEngine {
            url: url.into(),
            model: model.into(),
            folder: folder.into(),
            dtype: WeightDtype::default(),
            reload_url: None,
            reload_body: reload_body(),
            key_env: None,
            timeout_s: timeout_s(),
            connect_timeout_s: connect_timeout_s(),
            retries: retries(),
            backoff_s: backoff_s(),
            concurrency: concurrency(),
            agreement: agreement(),
            max_difference: max_difference(),
            extra: Map::new(),
        }
    }

    fn problem(&self) -> Option<String> {
        for (key, url) in [("url", Some(&self.url)), ("reload_url", self.reload_url.as_ref())] {
            if let Some(problem) = url.and_then(|u| address_problem(u)) {
                return Some(format!("has a `{key}` that {problem}"));
            }
        }
        if self.model.is_empty() {
            return Some("has an empty `model`; give the name that the server knows the model by".into());
        }
        if self.folder.file_name().is_none() {
            return Some("has no `folder`; give the folder that the server loads the policy from".into());
        }
        let seconds = |v: f64| v > 0.0 && Duration::try_from_secs_f64(v).is_ok();
        for (key, value) in [("timeout_s", self.timeout_s), ("connect_timeout_s", self.connect_timeout_s)] {
            if !seconds(value) {
                return Some(format!("has `{key}` {value}; it must be above 0"));
            }
        }
        if !(self.backoff_s == 0.0 || seconds(self.backoff_s)) {
            return Some(format!("has `backoff_s` {}; it must be 0 or more", self.backoff_s));
        }
        for (key, value) in [("agreement", self.agreement), ("max_difference", self.max_difference)] {
            if value < 0.0 || value.is_nan() {
                return Some(format!("has `{key}` {value}; it must be 0 or more"));
            }
        }
        if self.concurrency == 0 {
            return Some("has `concurrency` 0; it must be at least 1".into());
        }
        let taken = self.extra.keys().find(|k| TAKEN.contains(&k.as_str()));
        if let Some(key) = taken {
            return Some(format!("has `extra.{key}`, which the rollout sets itself; remove it"));
        }
        let variable = self.key_env.as_deref()?;
        match std::env::var(variable) {
            Ok(key) if !key.trim().is_empty() && key.trim().bytes().all(|b| b.is_ascii_graphic()) => None,
            Ok(_) => Some(format!("reads a key from {variable} that is empty or has characters that no key has")),
            Err(_) => Some(format!("reads a key from {variable}, which the environment does not have; set it")),
        }
    }
}

/// What the client asks the options.
#[cfg(feature = "http")]
impl OpenAiEngine {
    /// The whole address.
    pub(crate) fn completions(&self) -> String {
        let plain = self.url.trim_end_matches('/');
        if plain.ends_with("/completions") { plain.to_owned() } else { format!("{plain}/completions") }
    }

    /// Whether the server is on this machine.
    pub(crate) fn is_local(&self) -> bool {
        let host = self.url.split("://").nth(1).and_then(|r| r.split('/').next()).unwrap_or_default();
        let host = host.rsplit_once(':').map_or(host, |(h, port)| if port.ends_with(']') { host } else { h });
        host == "localhost" || host.starts_with("127.") || host == "[::1]"
    }

    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs_f64(self.timeout_s)
    }

    pub(crate) fn connect_timeout(&self) -> Duration {
        Duration::from_secs_f64(self.connect_timeout_s)
    }

    /// The wait before try `attempt`, counted from 1.
    pub(crate) fn backoff(&self, attempt: u32) -> Duration {
        let factor = 2f64.powi(attempt.saturating_sub(1).min(30) as i32);
        Duration::try_from_secs_f64(self.backoff_s * factor).unwrap_or(LONGEST_BACKOFF).min(LONGEST_BACKOFF)
    }

    /// The body that makes the server load `folder`.
    pub(crate) fn reload(&self, folder: &Path) -> Value {
        let mut body = Value::Object(self.reload_body.clone());
        fill(&mut body, &folder.display().to_string());
        body
    }
}

/// Puts the folder's path in place of `{folder}`.
#[cfg(feature = "http")]
fn fill(value: &mut Value, folder: &str) {
    match value {
        Value::String(text) => *text = text.replace("{folder}", folder),
        Value::Array(list) => list.iter_mut().for_each(|v| fill(v, folder)),
        Value::Object(table) => table.values_mut().for_each(|v| fill(v, folder)),
        _ => {}
    }
}

fn address_problem(url: &str) -> Option<&'static str> {
    let plain = url.trim_end_matches('/');
    let Some(rest) = plain.strip_prefix("http://").or_else(|| plain.strip_prefix("https://")) else {
        return Some("has to begin with http:// or https://");
    };
    let host = rest.split('/').next().unwrap_or_default();
    if host.contains('@') || plain.contains(['?', '#']) {
        // an address is written to files, so it must not hold anything secret
        return Some("holds a user, a query or a fragment; put the key into a variable and name it by `key_env`");
    }
    (host.is_empty() || plain.contains(char::is_whitespace)).then_some("has no host, or spaces in it")
}

#[cfg(all(test, feature = "http"))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn options_come_from_a_file_and_every_bad_one_is_named() {
        let text = "type = 'openai'\nurl = 'http://localhost:8000/v1/'\nmodel = 'm'\nfolder = '/tmp/policy'";
        let engine: Engine = toml::from_str(text).unwrap();
        let Engine::Openai(options) = &engine;
        assert_eq!(options, &OpenAiEngine::new("http://localhost:8000/v1/", "m", "/tmp/policy"));
        assert_eq!(options.completions(), "http://localhost:8000/v1/completions");
        assert!(toml::from_str::<Engine>(&format!("{text}\ntimeout = 3")).unwrap_err().to_string().contains("timeout"));
        assert!(toml::from_str::<Engine>("type = 'other'").unwrap_err().to_string().contains("openai"));
        let said = |change: fn(&mut OpenAiEngine)| {
            let mut options = options.clone();
            change(&mut options);
            options.problem().unwrap_or_default()
        };
        assert_eq!(said(|_| ()), "");
        assert!(said(|o| o.url = "localhost:8000".into()).contains("`url` that has to begin with http"));
        assert!(said(|o| o.url = "http://me:secret@host/v1".into()).contains("key_env"));
        assert!(said(|o| o.reload_url = Some("http:///x".into())).contains("`reload_url` that has no host"));
        assert!(said(|o| o.model.clear()).contains("`model`"));
        assert!(said(|o| o.timeout_s = 0.0).contains("`timeout_s` 0"));
        assert!(said(|o| o.connect_timeout_s = f64::NAN).contains("`connect_timeout_s`"));
        assert!(said(|o| o.backoff_s = -1.0).contains("`backoff_s`"));
        assert!(said(|o| o.agreement = f64::NAN).contains("`agreement`"));
        assert!(said(|o| o.concurrency = 0).contains("`concurrency`"));
        assert!(said(|o| drop(o.extra.insert("seed".into(), 1.into()))).contains("extra.seed"));
        assert!(said(|o| o.key_env = Some("TROPISM_NO_SUCH_KEY".into())).contains("TROPISM_NO_SUCH_KEY"));
    }

    #[test]
    fn waits_double_up_to_a_limit_and_the_folder_is_filled_in() {
        let options = OpenAiEngine::new("http://h", "m", "/tmp/p");
        let waits = [1, 2, 3, 60].map(|n| options.backoff(n).as_secs_f64());
        assert_eq!(waits, [0.5, 1.0, 2.0, 30.0]);
        assert_eq!(options.reload(Path::new("/tmp/p")), serde_json::json!({ "model_path": "/tmp/p" }));
    }
}
