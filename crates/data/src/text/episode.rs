//! Episodes of several turns: demonstrations with what the world said between them, and the tokens of such a reply.

use std::ops::Range;

use super::boundary::Boundary;
use super::mask::{AssistantMask, tokenize_chat};
use super::prepare::{CHUNK, Preparation, PrepareOptions, finish};
use super::{Tokenizer, encode::Notes};
use crate::DataError;
use crate::audit::Audit;
use crate::record::{Message, Sample, Text};
use crate::tokens::TokenSample;

/// Tokenises and cuts episodes: samples whose completion is a chat in which the assistant's turns come by turns with what was said to
/// it. Only the assistant's turns are scored, each up to and with the token that ends it; all else between them is
/// [given](TokenSample::given), as it is where a policy plays itself and [`BetweenTurns`] writes what the world says.
///
/// ```
/// use tropism_data::record::{Message, Sample, Source, Text};
/// use tropism_data::text::{BetweenTurns, BuiltIn, PrepareOptions, Tokenizer, tokenize_episodes};
/// let tokenizer = Tokenizer::train(["a b"].into_iter(), 259)?.with_built_in(BuiltIn::ChatMl)?;
/// let turns = [("assistant", "left"), ("user", "a wall"), ("assistant", "up")];
/// let sample = Sample {
///     source: Source::row("made up", 1),
///     prompt: Text::Chat(vec![Message::new("user", "go")]),
///     tools: Default::default(),
///     completion: Text::Chat(turns.map(|(role, said)| Message::new(role, said)).to_vec()),
/// };
/// let (episodes, _) = tokenize_episodes(&tokenizer, &[sample], PrepareOptions::default())?;
/// let said: Vec<String> = episodes[0]
///     .written()
///     .map(|turn| tokenizer.decode(&episodes[0].completion[turn], false))
///     .collect::<Result<_, _>>()?;
/// assert_eq!(said, ["left<|im_end|>", "up<|im_end|>"]);
/// let between = BetweenTurns::new(&tokenizer, "user")?.tokens("a wall", tokenizer.eos_id())?;
/// assert_eq!(between, episodes[0].completion[episodes[0].given[0].clone()]);
/// # Ok::<(), tropism_data::DataError>(())
/// ```
///
/// # Errors
/// As for [`tokenize_chat`] with [`AssistantMask::Prefix`]; another [`Boundary`] than an error; plain text, a completion that does not begin with a turn of the
/// assistant's; no episode left.
pub fn tokenize_episodes(
    tokenizer: &Tokenizer,
    samples: &[Sample],
    options: impl Into<PrepareOptions>,
) -> Result<(Vec<TokenSample>, Audit), DataError> {
    let options = options.into();
    if options.boundary != Boundary::Error {
        let problem = "must be error for episodes, whose turns have borders of their own";
        return Err(DataError::config("boundary", format!("{:?}", options.boundary).to_lowercase(), problem));
    }
    let mut preparation = Preparation::new(tokenizer, options)?;
    let mut kept = Vec::with_capacity(samples.len());
    for chunk in samples.chunks(CHUNK) {
        let found = tokenizer.share_out(chunk, |_, sample| episode(tokenizer, sample))?;
        let found = found.into_iter().collect::<Result<Vec<_>, _>>()?;
        let notes = |sample: &Sample| Notes::special(tokenizer, [&sample.prompt, &sample.completion]);
        let items = chunk.iter().zip(found).map(|(sample, found)| (sample.source.row, Some((found, notes(sample)))));
        kept.extend(preparation.cut(items, |s| (s.len(), s.len()), TokenSample::truncate, |_| false));
    }
    finish(kept, preparation)
}

fn episode(tokenizer: &Tokenizer, sample: &Sample) -> Result<TokenSample, DataError> {
    let refuse = |reason: &str| Err(DataError::row(&sample.source, reason));
    let (Text::Chat(prompt), Text::Chat(turns)) = (&sample.prompt, &sample.completion) else {
        return refuse("is plain text; an episode has messages");
    };
    if turns.first().is_none_or(|turn| turn.role != "assistant") {
        return refuse("does not begin with a turn of the assistant's");
    }
    let messages = [prompt.as_slice(), turns].concat();
    let chat = tokenize_chat(tokenizer, &sample.source, &messages, &sample.tools, AssistantMask::Prefix)?;
    let earlier = prompt.iter().filter(|message| message.role == "assistant").count();
    let written = runs(&chat.mask);
    let (Some(first), Some(last)) = (written.get(earlier), written.last()) else {
        return refuse("has turns that cannot be told apart");
    };
    let ends = |turn: &Range<usize>| {
        // what a template puts behind a turn's end is not the assistant's
        let stop = turn.clone().find(|&at| Some(chat.ids[at]) == tokenizer.eos_id());
        stop.map_or(turn.end, |at| at + 1)
    };
    let (start, end) = (first.start, ends(last));
    let borders: Vec<Range<usize>> = written[earlier..].iter().map(|turn| turn.start - start..ends(turn) - start).collect();
    let given = borders.windows(2).map(|pair| pair[0].end..pair[1].start).filter(|part| !part.is_empty()).collect();
    let (prompt, completion) = (chat.ids[..start].to_vec(), chat.ids[start..end].to_vec());
    Ok(TokenSample { source: sample.source.clone(), prompt, completion, given })
}

/// Runs of what is on.
fn runs(mask: &[bool]) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = vec![];
    for at in (0..mask.len()).filter(|&at| mask[at]) {
        match found.last_mut() {
            Some(run) if run.end == at => run.end = at + 1,
            _ => found.push(at..at + 1),
        }
    }
    found
}

/// Writes what stands between two turns of the assistant's: what the template closes a turn with, what a role says, and the opening
/// of the next turn.
///
/// The template must only append: what it renders of a conversation must begin with what it renders of the conversation's
/// beginning. Templates that rewrite earlier turns would show a model in training what it never saw; they are refused where a plain
/// turn shows it. A template that rewrites some turns only (that takes out thinking where there is any) passes: here it writes nothing
/// but what stands between two turns, and the turns stay as they were sampled.
#[derive(Debug)]
pub struct BetweenTurns<'t> {
    tokenizer: &'t Tokenizer,
    role: String,
    /// a conversation up to a turn's words, and up to its end
    head: String,
    with: String,
    /// ids of `head`
    ids: Vec<u32>,
}

/// The words of the turn before.
const TURN: &str = "!";

impl<'t> BetweenTurns<'t> {
    /// Looks at the template once, for replies of `role`.
    ///
    /// # Errors
    /// No template, one that fails or rewrites earlier turns.
    pub fn new(tokenizer: &'t Tokenizer, role: &str) -> Result<Self, DataError> {
        let messages = [Message::new("user", "?"), Message::new("assistant", TURN)];
        let (before, with) = (tokenizer.render(&messages[..1], true)?, tokenizer.render(&messages, false)?);
        let head = [before.as_str(), TURN].concat();
        if !with.starts_with(&head) {
            return Err(rewritten());
        }
        let ids = tokenizer.encode(&head)?;
        Ok(Self { tokenizer, role: role.to_owned(), head, with, ids })
    }

    /// Tokens between a turn that ended with the token `last` (or with none that ends) and the next: what the template closes a turn
    /// with, less `last`, what is said, and the opening of the next turn.
    ///
    /// # Errors
    /// A template that fails or rewrites earlier turns; tokens that merge with the turn.
    pub fn tokens(&self, content: &str, last: Option<u32>) -> Result<Vec<u32>, DataError> {
        let messages =
            [Message::new("user", "?"), Message::new("assistant", TURN), Message::new(self.role.as_str(), content)];
        let whole = self.tokenizer.render(&messages, true)?;
        if !(whole.starts_with(&self.with) && whole.starts_with(&self.head)) {
            return Err(rewritten());
        }
        let ids = self.tokenizer.encode(&whole)?;
        let Some(rest) = ids.strip_prefix(self.ids.as_slice()) else {
            let reason = "closes a turn with characters that merge with the turn's last in a token";
            return Err(DataError::Template { reason: reason.to_owned() });
        };
        Ok(rest.strip_prefix(last.as_slice()).unwrap_or(rest).to_vec())
    }
}

fn rewritten() -> DataError {
    let reason =
        "changes earlier turns when a conversation goes on, which several turns do not go with; take one that only appends";
    DataError::Template { reason: reason.to_owned() }
}
