//! What a server says, turned into tokens.
use serde_json::Value;
use tropism_lm::{Answer, End, StopStrings};

/// A completion as it came: ids, log-probabilities, and how it ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reply {
    pub(crate) tokens: Vec<u32>,
    pub(crate) logps: Vec<f32>,
    /// `stop`, `length` or whatever else the server says
    pub(crate) finish: String,
}

/// What ids mean here.
pub(crate) struct Vocabulary<'a> {
    /// entries of the model
    pub(crate) size: usize,
    /// ids that end a completion
    pub(crate) stops: &'a [u32],
    /// the one token of this text; nothing where there is none, or more than one
    pub(crate) of_text: &'a dyn Fn(&str) -> Option<u32>,
}

/// Reads the first choice of a response to a prompt of `asked` tokens.
pub(crate) fn read(body: &Value, asked: usize, vocabulary: &Vocabulary) -> Result<Reply, String> {
    if let Some(read) = body["usage"]["prompt_tokens"].as_u64().filter(|n| *n != asked as u64) {
        return Err(format!(
            "the server read {read} prompt tokens where {asked} were sent; it must take a prompt of token ids as it is, \
             without a token of its own before it"
        ));
    }
    let choice = &body["choices"][0];
    if !choice.is_object() {
        return Err("the response has no choices[0]".into());
    }
    let (names, logps) = named(choice)?;
    if names.len() != logps.len() {
        return Err(format!("the response has {} tokens and {} log-probabilities", names.len(), logps.len()));
    }
    let finish = choice["finish_reason"].as_str().unwrap_or("none").to_owned();
    let ended_by = ["stop_reason", "matched_stop"].iter().find_map(|k| choice[k].as_u64());
    let mut tokens = Vec::with_capacity(names.len());
    for (i, name) in names.iter().enumerate() {
        let last = i + 1 == names.len() && finish == "stop";
        tokens.push(
            id(name, vocabulary, if last { Some(ended_by) } else { None }).map_err(|e| format!("token {}: {e}", i + 1))?,
        );
    }
    Ok(Reply { tokens, logps, finish })
}

/// How a server names a token.
enum Named {
    Id(u64),
    Text(String),
}

/// The sampled tokens and their log-probabilities, in whichever form the response has them.
fn named(choice: &Value) -> Result<(Vec<Named>, Vec<f32>), String> {
    let logprobs = &choice["logprobs"];
    let number = |v: &Value| v.as_f64().filter(|l| l.is_finite()).map(|l| l as f32);
    let all = |list: &[Value], get: &dyn Fn(&Value) -> Option<f32>| -> Result<Vec<f32>, String> {
        list.iter().map(|v| get(v).ok_or("a token has no finite log-probability".to_owned())).collect()
    };
    let ids = |list: &[Value]| -> Result<Vec<Named>, String> {
        list.iter().map(|v| v.as_u64().map(Named::Id).ok_or(format!("`token_ids` holds {v}"))).collect()
    };
    if let Some(content) = logprobs["content"].as_array() {
        let name = |v: &Value| match (v["id"].as_u64(), v["token"].as_str()) {
            (Some(id), _) => Ok(Named::Id(id)),
            (None, Some(text)) => Ok(of_text(text)),
            _ => Err("an entry of logprobs.content has neither id nor token".to_owned()),
        };
        let names = match choice["token_ids"].as_array() {
            Some(list) => ids(list)?,
            None => content.iter().map(name).collect::<Result<_, _>>()?,
        };
        return Ok((names, all(content, &|v| number(&v["logprob"]))?));
    }
    let Some(found) = logprobs["token_logprobs"].as_array() else {
        return Err(
            "the response has no log-probabilities (logprobs.token_logprobs); the server must be able to give them".into()
        );
    };
    let logps = all(found, &number)?;
    if let Some(list) = choice["token_ids"].as_array() {
        return Ok((ids(list)?, logps));
    }
    let Some(tokens) = logprobs["tokens"].as_array() else {
        return Err("the response names no tokens: neither token_ids, nor logprobs.tokens, nor logprobs.content".into());
    };
    let text = |v: &Value| v.as_str().map(of_text).ok_or(format!("logprobs.tokens holds {v}"));
    Ok((tokens.iter().map(text).collect::<Result<_, _>>()?, logps))
}

fn of_text(text: &str) -> Named {
    match text.strip_prefix("token_id:").and_then(|id| id.parse().ok()) {
        Some(id) => Named::Id(id),
        None => Named::Text(text.to_owned()),
    }
}

/// The id of a token; `ending` is there for the token that ended the completion, with the id that the server blames.
fn id(name: &Named, vocabulary: &Vocabulary, ending: Option<Option<u64>>) -> Result<u32, String> {
    let checked = |id: u64| match u32::try_from(id) {
        Ok(small) if (small as usize) < vocabulary.size => Ok(small),
        _ => Err(format!("id {id} is not below the vocabulary of {}; the server runs another model", vocabulary.size)),
    };
    let text = match name {
        Named::Id(id) => return checked(*id),
        Named::Text(text) => text,
    };
    if let Some(id) = (vocabulary.of_text)(text) {
        return Ok(id);
    }
    match (ending, vocabulary.stops) {
        (Some(Some(id)), stops) if stops.iter().any(|s| u64::from(*s) == id) => checked(id),
        (Some(None), [only]) => Ok(*only),
        _ => Err(format!(
            "the server names it by its text {text:?}, which is not the text of exactly one token; it must return token ids \
             (`return_token_ids`, `return_tokens_as_token_ids`, or ids in logprobs.content)"
        )),
    }
}

/// Ends a reply as the program's own sampler would have.
pub(crate) fn ended(reply: Reply, stops: &[u32], strings: &StopStrings, most: usize) -> Result<Answer, String> {
    let Reply { mut tokens, mut logps, finish } = reply;
    if tokens.is_empty() {
        return Err("the completion has no tokens".into());
    }
    let stop = tokens.iter().position(|t| stops.contains(t)).map(|at| at + 1);
    let before = stop.unwrap_or(tokens.len());
    let cut = if strings.strings.is_empty() { None } else { strings.cut(&tokens[..before]).map_err(|e| e.to_string())? };
    let (keep, end, text) = match (cut, stop) {
        (Some((n, string, text)), _) => (n, End::StopString(string), Some(text)),
        (None, Some(n)) => (n, End::StopToken, None),
        (None, None) if tokens.len() == most => (most, End::Length, None),
        (None, None) if tokens.len() > most => {
            return Err(format!("the completion has {} tokens, more than max_tokens {most}", tokens.len()));
        }
        (None, None) if finish == "length" => {
            return Err(format!(
                "the server cut the completion at {} tokens, below max_tokens {most}; give it a longer context",
                tokens.len()
            ));
        }
        (None, None) => {
            return Err(format!(
                "the server ended the completion ({finish}) after {} tokens without a stop token of the stage among them; it \
                 must return the token that ends a completion",
                tokens.len()
            ));
        }
    };
    if keep > most {
        return Err(format!("the completion has {keep} tokens, more than max_tokens {most}"));
    }
    tokens.truncate(keep);
    logps.truncate(keep);
    Ok(Answer { tokens, end, model_logps: logps.clone(), sampling_logps: logps, text, given: vec![] })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(text: &str) -> Option<u32> {
        text.strip_prefix('t').and_then(|n| n.parse().ok())
    }

    fn say(choice: Value) -> Result<Reply, String> {
        let vocabulary = Vocabulary { size: 10, stops: &[1], of_text: &of };
        read(&json!({ "choices": [choice], "usage": { "prompt_tokens": 3 } }), 3, &vocabulary)
    }

    fn end(tokens: &[u32], finish: &str, strings: &[&str], most: usize) -> Result<Answer, String> {
        let strings: Vec<String> = strings.iter().map(|s| s.to_string()).collect();
        let decode = |t: &[u32]| Ok(t.iter().map(|t| char::from(b'a' + *t as u8)).collect::<String>());
        let strings = StopStrings { strings: &strings, keep: true, decode: &decode };
        let logps = vec![-1.0; tokens.len()];
        ended(Reply { tokens: tokens.to_vec(), logps, finish: finish.into() }, &[1], &strings, most)
    }

    #[test]
    fn every_form_of_tokens_is_read() {
        let want = Reply { tokens: vec![5, 1], logps: vec![-0.5, -0.25], finish: "stop".into() };
        let logps = json!([-0.5, -0.25]);
        for choice in [
            json!({ "token_ids": [5, 1], "logprobs": { "token_logprobs": logps, "tokens": ["x", "y"] }, "finish_reason": "stop" }),
            json!({ "logprobs": { "token_logprobs": logps, "tokens": ["token_id:5", "token_id:1"] }, "finish_reason": "stop" }),
            json!({ "logprobs": { "content": [{ "id": 5, "token": "x", "logprob": -0.5 }, { "id": 1, "token": "", "logprob": -0.25 }] },
                    "finish_reason": "stop" }),
            json!({ "logprobs": { "token_logprobs": logps, "tokens": ["t5", "t1"] }, "finish_reason": "stop" }),
            // the ending token has no text of its own, but there is only one that ends
            json!({ "logprobs": { "token_logprobs": logps, "tokens": ["t5", "</s>"] }, "finish_reason": "stop" }),
            json!({ "logprobs": { "token_logprobs": logps, "tokens": ["t5", ""] }, "finish_reason": "stop", "matched_stop": 1 }),
        ] {
            assert_eq!(say(choice.clone()), Ok(want.clone()), "{choice}");
        }
    }

    #[test]
    fn what_cannot_be_mapped_is_an_error_that_says_so() {
        let said = |choice: Value| say(choice).unwrap_err();
        assert!(said(json!(null)).contains("no choices[0]"));
        assert!(said(json!({ "text": "hi" })).contains("no log-probabilities"));
        let tokens = |names: Value, logps: Value| {
            said(json!({ "logprobs": { "token_logprobs": logps, "tokens": names }, "finish_reason": "length" }))
        };
        assert!(
            tokens(json!(["t5", "</s>"]), json!([-1.0, -1.0])).contains("token 2: the server names it by its text \"</s>\"")
        );
        assert!(tokens(json!(["t5"]), json!([-1.0, -1.0])).contains("1 tokens and 2 log-probabilities"));
        assert!(tokens(json!(["t5"]), json!([null])).contains("no finite log-probability"));
        assert!(tokens(json!(["token_id:12"]), json!([-1.0])).contains("id 12 is not below the vocabulary of 10"));
        assert!(tokens(json!([7]), json!([-1.0])).contains("logprobs.tokens holds 7"));
        let vocabulary = Vocabulary { size: 10, stops: &[1], of_text: &of };
        let more = read(&json!({ "choices": [{}], "usage": { "prompt_tokens": 4 } }), 3, &vocabulary).unwrap_err();
        assert!(more.contains("read 4 prompt tokens where 3 were sent"), "{more}");
    }

    #[test]
    fn completions_end_by_the_stage_s_own_rules() {
        let stopped = end(&[5, 1, 7], "length", &[], 8).unwrap();
        assert_eq!(
            (stopped.tokens.as_slice(), &stopped.end, stopped.model_logps.len()),
            ([5, 1].as_slice(), &End::StopToken, 2)
        );
        assert_eq!(end(&[5, 6], "length", &[], 2).unwrap().end, End::Length);
        let string = end(&[5, 6, 7, 1], "stop", &["gh"], 8).unwrap();
        assert_eq!(
            (string.tokens.len(), string.end, string.text.as_deref()),
            (3, End::StopString("gh".into()), Some("fgh"))
        );
        assert!(end(&[5, 6], "length", &[], 3).unwrap_err().contains("longer context"));
        assert!(end(&[5, 6], "stop", &[], 3).unwrap_err().contains("without a stop token"));
        assert!(end(&[5, 6, 7], "length", &[], 2).unwrap_err().contains("more than max_tokens"));
        assert!(end(&[], "stop", &[], 2).unwrap_err().contains("no tokens"));
    }
}
