//! One completion from a server, turn by turn.
use super::super::episodes::Player;
use super::super::gather::Environment;
use super::super::options::RolloutOptions;
use super::remote::Remote;
use super::reply::{Reply, Vocabulary, ended};
use serde_json::Value;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tropism_lm::{Answer, StopStrings};

/// What all requests of a round share.
pub(super) struct Asker<'a> {
    pub(super) remote: &'a Remote,
    pub(super) rollout: &'a RolloutOptions,
    pub(super) environment: &'a Environment<'a>,
    /// of the vocabulary
    pub(super) size: usize,
    /// somebody else has failed
    pub(super) stop: &'a AtomicBool,
}

impl Asker<'_> {
    /// An episode, as the program's own sampler plays it: each turn is a completion of all that was said before.
    pub(super) fn episode(&self, player: &Player, (prompt, text): (&[u32], &str), label: &str) -> Result<Answer, String> {
        let (most, of_turn) = (self.rollout.max_new_tokens, self.rollout.turn_tokens.unwrap_or(usize::MAX));
        let mut whole = Answer::empty();
        for turn in 0.. {
            let before = [prompt, &whole.tokens].concat();
            let room = of_turn.min(most - whole.tokens.len());
            let said = self.completion(&before, room, format!("{label}/{turn}"))?;
            whole.tokens.extend(&said.tokens);
            whole.model_logps.extend(&said.model_logps);
            whole.sampling_logps.extend(&said.sampling_logps);
            if !said.finished() {
                break;
            }
            let reply = player.reply(text, &whole.tokens, &whole.given);
            let Some(reply) = reply.map_err(|e| format!("the world has no reply: {e}"))? else {
                (whole.end, whole.text) = (said.end, said.text);
                break;
            };
            let start = whole.tokens.len();
            if start + reply.len() >= most {
                break;
            }
            whole.tokens.extend(&reply);
            whole.model_logps.resize(whole.tokens.len(), 0.0);
            whole.sampling_logps.resize(whole.tokens.len(), 0.0);
            if !reply.is_empty() {
                whole.given.push(start..whole.tokens.len());
            }
        }
        Ok(whole)
    }

    /// A completion of at most `most` tokens, asked for or kept from before.
    pub(super) fn completion(&self, prompt: &[u32], most: usize, label: String) -> Result<Answer, String> {
        let kept = self.remote.lock().get(&label).cloned();
        let reply = match kept {
            Some((tokens, logps, finish)) => Reply { tokens, logps, finish },
            None => {
                let reply = self.ask(prompt, most, &label)?;
                self.remote.lock().insert(label, (reply.tokens.clone(), reply.logps.clone(), reply.finish.clone()));
                reply
            }
        };
        let strings = StopStrings { strings: &self.rollout.stop, keep: true, decode: self.environment.decode };
        ended(reply, self.environment.stops, &strings, most)
    }

    /// Asks until the server answers with the policy as it is now.
    fn ask(&self, prompt: &[u32], most: usize, label: &str) -> Result<Reply, String> {
        let (remote, options) = (self.remote, &self.remote.options);
        let of_text = |text: &str| remote.by_text(self.size, self.environment, text);
        let vocabulary = Vocabulary { size: self.size, stops: self.environment.stops, of_text: &of_text };
        let body = remote.body(self.rollout, self.environment, (prompt, most), label);
        let (version, url, clock) = (remote.fingerprint(), options.completions(), Instant::now());
        loop {
            let read = |body: Value| remote.accept(&body, &version, prompt.len(), &vocabulary);
            match remote.client.post(options, &url, &body, read, &|| self.stop.load(Ordering::Relaxed))? {
                Some(reply) => return Ok(reply),
                None if clock.elapsed() > options.timeout() => {
                    return Err(format!(
                        "responses do not carry the version {version} of the policy as `system_fingerprint`; a server that does \
                         not watch {} needs `reload_url`",
                        options.folder.display()
                    ));
                }
                None => std::thread::sleep(options.backoff(1)),
            }
        }
    }
}
