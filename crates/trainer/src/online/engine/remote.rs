//! A server that writes completions: weights there, completions back.
use super::super::episodes::Player;
use super::super::gather::Environment;
use super::super::options::RolloutOptions;
use super::ask::Asker;
use super::client::Client;
use super::options::{Engine, OpenAiEngine};
use super::reply::{Reply, Vocabulary, read};
use crate::error::TrainError;
use dfdx::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError, mpsc};
use tropism_data::record::Source;
use tropism_lm::{Answer, Decoder, Dims, FolderWriter};
use tropism_ops::Scalar;

/// The file of a checkpoint that holds completions of a step that was not finished.
const COMPLETIONS: &str = "completions.json";

/// The file of the policy's folder that a watching server reads its version from.
const VERSION: &str = "version.txt";

/// Completions by the labels of their requests.
type Kept = BTreeMap<String, (Vec<u32>, Vec<f32>, String)>;

/// A server, and what it has said in this step.
pub(crate) struct Remote {
    pub(super) options: OpenAiEngine,
    pub(super) client: Client,
    /// counts the policies that were written
    version: AtomicU64,
    /// tells this process's versions from others'
    session: u128,
    kept: Mutex<Kept>,
    /// tokens by their text, made when a server names tokens so
    texts: OnceLock<BTreeMap<String, Option<u32>>>,
}

impl Remote {
    /// The server of a rollout, where it has one.
    pub(crate) fn of(rollout: &RolloutOptions) -> Option<Self> {
        let Some(Engine::Openai(options)) = &rollout.engine else { return None };
        let since = std::time::UNIX_EPOCH.elapsed().map_or(0, |d| d.as_nanos());
        Some(Remote {
            client: Client::new(options),
            options: options.clone(),
            version: AtomicU64::new(0),
            session: since,
            kept: Mutex::default(),
            texts: OnceLock::new(),
        })
    }

    /// The same, with the completions that a checkpoint holds.
    pub(crate) fn restore(rollout: &RolloutOptions, folder: &Path) -> Result<Option<Self>, TrainError> {
        let (remote, path) = (Self::of(rollout), folder.join(COMPLETIONS));
        if let (Some(remote), true) = (&remote, path.exists()) {
            let text = fs::read_to_string(&path).map_err(TrainError::io(&path))?;
            let broken = |e: serde_json::Error| TrainError::Checkpoint { path: path.clone(), problem: e.to_string() };
            *remote.lock() = serde_json::from_str(&text).map_err(broken)?;
        }
        Ok(remote)
    }

    pub(super) fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Within how many nats its log-probabilities agree with the trainer's, and how far they may be apart on average.
    pub(crate) fn tolerances(&self) -> (f64, f64) {
        (self.options.agreement, self.options.max_difference)
    }

    pub(crate) fn error(&self, problem: String) -> TrainError {
        TrainError::Engine { url: self.options.url.clone(), problem }
    }

    /// Puts what has come into a checkpoint.
    pub(crate) fn save(&self, folder: &Path) -> Result<(), TrainError> {
        let (kept, path) = (self.lock(), folder.join(COMPLETIONS));
        if kept.is_empty() {
            return Ok(());
        }
        let text = serde_json::to_vec(&*kept).map_err(|e| TrainError::Io { path: path.clone(), source: e.into() })?;
        fs::write(&path, text).map_err(TrainError::io(&path))
    }

    /// The step has all that it needs.
    pub(crate) fn forget(&self) {
        self.lock().clear();
    }

    pub(super) fn fingerprint(&self) -> String {
        format!("{}-{}", self.session, self.version.load(Ordering::Relaxed))
    }

    /// Writes the policy and makes the server load it.
    pub(crate) fn sync<M: Dims, E: Scalar>(
        &self,
        policy: &Decoder<M, E>,
        environment: &Environment,
    ) -> Result<(), TrainError>
    where
        Cpu: Device<E>,
    {
        self.version.fetch_add(1, Ordering::Relaxed);
        let folder = std::path::absolute(&self.options.folder).map_err(TrainError::io(&self.options.folder))?;
        if let Some(parent) = folder.parent() {
            fs::create_dir_all(parent).map_err(TrainError::io(parent))?;
        }
        let writer = FolderWriter::new(&folder)?;
        match policy.adapter() {
            Some(_) => policy.clone().merged()?.save(writer.path(), self.options.dtype)?,
            None => policy.save(writer.path(), self.options.dtype)?,
        }
        if let Some(companions) = environment.companions {
            companions(writer.path()).map_err(|e| self.error(format!("the tokenizer cannot be written: {e}")))?;
        }
        let version = writer.path().join(VERSION);
        fs::write(&version, self.fingerprint()).map_err(TrainError::io(&version))?;
        writer.finish()?;
        let Some(url) = &self.options.reload_url else { return Ok(()) };
        let accepted = |body: Value| match body["success"].as_bool() {
            Some(false) => Err((false, format!("the server did not load the policy: {}", body["message"]))),
            _ => Ok(()),
        };
        let loaded = self.client.post(&self.options, url, &self.options.reload(&folder), accepted, &|| false);
        loaded.map_err(|e| self.error(format!("{url}: {e}")))
    }

    /// A group of completions of each of the picked prompts; `each` sees them as they come.
    pub(crate) fn sample(
        &self,
        rollout: &RolloutOptions,
        environment: &Environment,
        (prompts, texts, sources): (&[&[u32]], &[&str], &[&Source]),
        (vocabulary, seed): (usize, u64),
        each: &mut dyn FnMut(usize, usize, &Answer),
    ) -> Result<Vec<Vec<Answer>>, TrainError> {
        let jobs: Vec<(usize, usize)> = (0..prompts.len()).flat_map(|p| (0..rollout.group).map(move |n| (p, n))).collect();
        let mut found: Vec<Option<Answer>> = vec![None; jobs.len()];
        let (next, stop, (send, receive)) = (AtomicUsize::new(0), AtomicBool::new(false), mpsc::channel());
        let player = rollout.turn_tokens.map(|_| Player::new(environment, &rollout.stop)).transpose();
        let player = player.map_err(|problem| self.error(problem))?;
        let ask = |(place, number): (usize, usize)| {
            let asker = Asker { remote: self, rollout, environment, size: vocabulary, stop: &stop };
            let label = format!("{seed}/{place}/{number}");
            let answer = match &player {
                None => asker.completion(prompts[place], rollout.max_new_tokens, label),
                Some(player) => asker.episode(player, (prompts[place], texts[place]), &label),
            };
            answer.map_err(|e| format!("{}, completion {}: {e}", sources[place], number + 1))
        };
        let mut failed = None;
        std::thread::scope(|scope| {
            for _ in 0..self.options.concurrency.min(jobs.len()) {
                let (send, jobs, next, stop, ask) = (send.clone(), &jobs, &next, &stop, &ask);
                scope.spawn(move || {
                    while let (Some(&job), false) =
                        (jobs.get(next.fetch_add(1, Ordering::Relaxed)), stop.load(Ordering::Relaxed))
                    {
                        let answer = ask(job);
                        stop.fetch_or(answer.is_err(), Ordering::Relaxed);
                        if send.send((job, answer)).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(send);
            for ((place, number), answer) in receive {
                match answer {
                    Ok(answer) => {
                        each(place, number, &answer);
                        found[place * rollout.group + number] = Some(answer);
                    }
                    Err(e) => failed = failed.take().or(Some(e)),
                }
            }
        });
        if let Some(problem) = failed {
            return Err(self.error(problem));
        }
        let mut all = found.into_iter().flatten();
        Ok(prompts.iter().map(|_| all.by_ref().take(rollout.group).collect()).collect())
    }

    /// A response's completion; nothing where it comes from another version of the policy.
    pub(super) fn accept(
        &self,
        body: &Value,
        version: &str,
        asked: usize,
        vocabulary: &Vocabulary,
    ) -> Result<Option<Reply>, (bool, String)> {
        if self.options.reload_url.is_none() && body["system_fingerprint"] != version {
            return Ok(None);
        }
        read(body, asked, vocabulary).map(Some).map_err(|e| (false, e))
    }

    /// The request for one completion.
    pub(super) fn body(
        &self,
        rollout: &RolloutOptions,
        environment: &Environment,
        (prompt, most): (&[u32], usize),
        label: &str,
    ) -> Value {
        let mut body = json!({
            "model": self.options.model,
            "prompt": prompt,
            "max_tokens": most,
            "temperature": rollout.temperature,
            "top_p": 1.0,
            "top_k": -1,
            "min_p": 0.0,
            "n": 1,
            "seed": mixed(label),
            "logprobs": 1,
            "stream": false,
            "user": label,
            "stop_token_ids": environment.stops,
            "return_token_ids": true,
            "return_tokens_as_token_ids": true,
            "skip_special_tokens": false,
        });
        if let Some(table) = body.as_object_mut() {
            if !rollout.stop.is_empty() {
                table.insert("stop".into(), rollout.stop.clone().into());
                table.insert("include_stop_str_in_output".into(), true.into());
            }
            table.extend(self.options.extra.clone());
        }
        body
    }

    /// The one token of a text.
    pub(super) fn by_text(&self, size: usize, environment: &Environment, text: &str) -> Option<u32> {
        let texts = self.texts.get_or_init(|| {
            let mut texts: BTreeMap<String, Option<u32>> = BTreeMap::new();
            for id in 0..u32::try_from(size).unwrap_or(u32::MAX) {
                if let Ok(text) = (environment.decode)(&[id]) {
                    texts.entry(text).and_modify(|known| *known = None).or_insert(Some(id));
                }
            }
            texts
        });
        texts.get(text).copied().flatten()
    }
}

/// A seed of 31 bits that differs from label to label (FNV-1a, then a finaliser).
fn mixed(label: &str) -> u64 {
    let mut hash = label.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    hash = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    (hash ^ hash >> 33) >> 33
}
