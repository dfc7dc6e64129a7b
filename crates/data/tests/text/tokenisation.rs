//! Records that cannot be tokenised, and the audit of those that can.

use crate::variants::{golden, variant, with_template};
use serde_json::{Value, json};
use tropism_data::DataError;
use tropism_data::record::{Message, Pair, Sample, Source, Text};
use tropism_data::text::{
    TextGroup, prepare_pairs, tokenize_groups, tokenize_pair, tokenize_pairs, tokenize_sample, tokenize_samples,
};
use tropism_data::tokens::{LengthOptions, Truncation};

fn chat_pair(chosen: &str) -> Pair {
    let text = |role: &str, content: &str| Text::Chat(vec![Message::new(role, content)]);
    Pair {
        source: Source { file: "d.jsonl".into(), row: 2, line: Some(5) },
        prompt: text("user", "q"),
        tools: Default::default(),
        chosen: text("assistant", chosen),
        rejected: text("assistant", "no"),
        numbers: Default::default(),
    }
}

fn plain_pair(row: usize, prompt: &str, chosen: &str, rejected: &str) -> Pair {
    let [prompt, chosen, rejected] = [prompt, chosen, rejected].map(|text| Text::Plain(text.into()));
    Pair {
        source: Source::row("d.parquet", row),
        prompt,
        tools: Default::default(),
        chosen,
        rejected,
        numbers: Default::default(),
    }
}

#[test]
fn a_prompt_that_is_no_prefix_is_an_error_with_evidence() {
    // drops the user's turns once an answer is there, as templates do that strip earlier reasoning
    let tokenizer = with_template(
        "{% for m in messages %}{% if m.role == 'assistant' or loop.length == 1 %}[{{ m.role }}]{{ m.content }}{% endif %}\
         {% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}",
    );
    for error in [
        tokenize_pair(&tokenizer, &chat_pair("yes")).unwrap_err(),
        tokenize_sample(&tokenizer, &chat_pair("yes").chosen_sample()).unwrap_err(),
    ] {
        let DataError::NotPrefix { at, position, prompt, conversation } = &error else { panic!("{error}") };
        assert_eq!((at.line, *position), (Some(5), 1));
        assert_eq!((prompt.as_str(), conversation.as_str()), ("user]q[assistant]", "assistant]yes"));
        assert!(error.to_string().contains("d.jsonl, line 5: the rendered prompt is not a prefix"), "{error}");
    }
}

#[test]
fn templates_that_refuse_name_the_row() {
    let tokenizer = with_template("{{ raise_exception('no system turn') }}");
    let error = tokenize_pair(&tokenizer, &chat_pair("yes")).unwrap_err().to_string();
    assert!(error.contains("line 5") && error.contains("no system turn"), "{error}");
}

#[test]
fn two_bos_tokens_are_an_error() {
    let bos = |config: &mut Value| {
        config["bos_token"] = json!("<pad>");
        config["chat_template"] = json!("{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}");
    };
    let tokenizer = variant(bos, &[]).unwrap();
    let mut pair = chat_pair("yes");
    assert_eq!(tokenize_pair(&tokenizer, &pair).unwrap().prompt, tokenizer.encode("<pad>q").unwrap());
    pair.prompt = Text::Chat(vec![Message::new("user", "<pad>q")]);
    let error = tokenize_pair(&tokenizer, &pair).unwrap_err().to_string();
    assert!(error.contains("line 5") && error.contains("two BOS tokens"), "{error}");
}

#[test]
fn kinds_must_not_mix_and_plain_text_needs_eos() {
    let mut pair = chat_pair("yes");
    pair.rejected = Text::Plain("no".into());
    assert!(tokenize_pair(&golden(), &pair).unwrap_err().to_string().contains("mixed"));
    pair.prompt = Text::Plain("q".into());
    assert!(tokenize_pair(&golden(), &pair).unwrap_err().to_string().contains("mixed"));
    let tokenizer = variant(|config| config["eos_token"] = Value::Null, &[]).unwrap();
    let error = tokenize_pair(&tokenizer, &plain_pair(3, "p", "a", "b")).unwrap_err().to_string();
    assert!(error.contains("row 3") && error.contains("EOS"), "{error}");
    assert!(tokenize_pair(&tokenizer, &chat_pair("yes")).is_ok());
}

#[test]
fn the_audit_of_tokenisation() {
    let long = "x".repeat(50);
    let pairs = [
        plain_pair(1, "p", "a", "b"),
        plain_pair(2, &long, "a", "b"),
        plain_pair(3, "p", &format!("{long}a"), &format!("{long}b")),
        plain_pair(4, "", "", "b"),
        plain_pair(5, "", "a", "b"),
    ];
    let options = LengthOptions { max_length: Some(20), truncation: Truncation::KeepStart };
    let (kept, audit) = tokenize_pairs(&golden(), &pairs, &options).unwrap();
    assert_eq!(kept.iter().map(|pair| pair.source.row).collect::<Vec<_>>(), [1, 3, 5]);
    assert_eq!((audit.read, audit.kept), (5, 3));
    assert_eq!(audit.dropped["prompt not shorter than max_length"].rows, [2]);
    // the EOS token alone, and nothing before it
    assert_eq!(audit.dropped["no token to score"].rows, [4]);
    assert_eq!(audit.cut.items.rows, [3]);
    assert_eq!((audit.cut.tokens, audit.cut.longest), (2 * (1 + 51 + 1 - 20), 53));
    assert_eq!(audit.notes["identical tokens on both sides"].rows, [3]);
    let samples: Vec<_> = pairs.iter().map(Pair::chosen_sample).collect();
    let (kept, audit) = tokenize_samples(&golden(), &samples, &options).unwrap();
    assert_eq!((kept.len(), audit.cut.tokens, audit.dropped_count()), (3, 33, 2));
    let error = tokenize_pairs(&golden(), &pairs[1..2], &options).unwrap_err().to_string();
    assert!(error.contains("all 1 were left out (prompt not shorter than max_length: 1)"), "{error}");
    assert!(tokenize_pairs(&golden(), &[], &options).is_err());
    let bad = LengthOptions { max_length: Some(0), ..options };
    assert!(tokenize_pairs(&golden(), &pairs, &bad).unwrap_err().to_string().contains("`max_length` is 0"));
}

#[test]
fn chunks_give_what_single_rows_give() {
    let pairs: Vec<Pair> =
        (0..1100).map(|i| plain_pair(i + 1, &format!("question {i}"), &"yes ".repeat(i % 7 + 1), "no")).collect();
    let (kept, audit) = tokenize_pairs(&golden(), &pairs, &LengthOptions::default()).unwrap();
    assert_eq!(audit.kept, 1100);
    for at in [0, 511, 512, 1023, 1024, 1099] {
        assert_eq!(kept[at], tokenize_pair(&golden(), &pairs[at]).unwrap());
    }
}

#[test]
fn groups_share_their_prompts_tokens() {
    let template = golden();
    let text = |content: &str| Text::Chat(vec![Message::new("assistant", content)]);
    let group = TextGroup {
        source: Source::row("g", 1),
        prompt: Text::Chat(vec![Message::new("user", "q")]),
        tools: vec![],
        responses: vec![text("yes"), text("no"), text("a long answer that is cut")],
    };
    let (groups, audit) = tokenize_groups(&template, std::slice::from_ref(&group), &LengthOptions::default()).unwrap();
    assert_eq!((audit.kept, groups[0].responses.len()), (1, 3));
    for (response, sample) in group.responses.iter().zip(groups[0].samples()) {
        let (source, prompt) = (group.source.clone(), group.prompt.clone());
        let alone = Sample { source, prompt, tools: vec![], completion: response.clone() };
        assert_eq!(tokenize_sample(&template, &alone).unwrap(), sample);
    }
    let length = LengthOptions { max_length: Some(groups[0].prompt.len() + 4), truncation: Truncation::KeepStart };
    let (cut, audit) = tokenize_groups(&template, std::slice::from_ref(&group), &length).unwrap();
    assert_eq!(cut[0].longest(), groups[0].prompt.len() + 4);
    assert_eq!(audit.cut.tokens, groups[0].len() - cut[0].len());
    let none = TextGroup { responses: vec![], ..group };
    let error = tokenize_groups(&template, &[none], &LengthOptions::default()).unwrap_err().to_string();
    assert!(error.contains("g, row 1") && error.contains("no responses"), "{error}");
}

#[test]
fn a_stream_gives_what_a_list_gives() {
    let pairs: Vec<Pair> =
        (0..5000).map(|i| plain_pair(i + 1, &format!("question {i}"), &"yes ".repeat(i % 7 + 1), "no")).collect();
    let length = LengthOptions { max_length: Some(20), truncation: Truncation::KeepStart };
    let (kept, audit) = tokenize_pairs(&golden(), &pairs, &length).unwrap();
    let tokenizer = golden();
    let mut stream = prepare_pairs(&tokenizer, pairs.iter().cloned().map(Ok), &length).unwrap();
    let streamed: Vec<_> = stream.by_ref().map(Result::unwrap).collect();
    assert_eq!((streamed, stream.audit()), (kept, &audit));
    // an error ends the stream, whether reading or preparing fails
    let broken = DataError::NoRows { what: "file".into(), reason: "broken".into() };
    let rows = pairs.iter().take(3000).cloned().map(Ok).chain([Err(broken)]).chain(pairs.iter().cloned().map(Ok));
    let found: Vec<_> = prepare_pairs(&tokenizer, rows, &length).unwrap().collect();
    assert_eq!((found.len(), found.iter().filter(|row| row.is_err()).count()), (2049, 1));
    assert!(found.last().unwrap().is_err());
    let mut mixed = pairs;
    mixed[4000].chosen = Text::Chat(vec![]);
    let found: Vec<_> = prepare_pairs(&tokenizer, mixed.into_iter().map(Ok), &length).unwrap().collect();
    let error = found.last().unwrap().as_ref().unwrap_err().to_string();
    assert!(error.contains("row 4001") && error.contains("mixed"), "{error}");
}

#[test]
fn the_first_rows_error_is_the_one_reported() {
    let mut pairs: Vec<Pair> = (0..1000).map(|i| plain_pair(i + 1, "q", "a", "b")).collect();
    for row in [131, 500, 999] {
        pairs[row].rejected = Text::Chat(vec![]);
    }
    for _ in 0..5 {
        let error = tokenize_pairs(&golden(), &pairs, &LengthOptions::default()).unwrap_err().to_string();
        assert!(error.contains("row 132"), "{error}");
    }
}

#[test]
fn length_options_in_json() {
    let options: LengthOptions = serde_json::from_str(r#"{"max_length": 9, "truncation": "keep_end"}"#).unwrap();
    assert_eq!(options, LengthOptions { max_length: Some(9), truncation: Truncation::KeepEnd });
    assert!(serde_json::from_str::<LengthOptions>(r#"{"max_len": 9}"#).is_err());
}
