//! Episodes: what is scored of them, what stands between turns, and templates that they do not go with.
use tropism_data::DataError;
use tropism_data::record::{Message, Sample, Source, Text};
use tropism_data::text::{BetweenTurns, BuiltIn, PrepareOptions, TemplateLimits, Tokenizer, tokenize_episodes};
use tropism_data::tokens::{LengthOptions, TokenSample};

fn tokenizer(built_in: BuiltIn) -> Tokenizer {
    Tokenizer::train(["left right up down a wall is there"].into_iter(), 300).unwrap().with_built_in(built_in).unwrap()
}

fn chat(turns: &[(&str, &str)]) -> Text {
    Text::Chat(turns.iter().map(|(role, said)| Message::new(*role, *said)).collect())
}

fn sample(prompt: Text, completion: Text) -> Sample {
    Sample { source: Source::row("episodes.jsonl", 3), prompt, tools: Default::default(), completion }
}

fn tokenised(tokenizer: &Tokenizer, sample: Sample, max_length: Option<usize>) -> Result<TokenSample, DataError> {
    let length = LengthOptions { max_length, ..LengthOptions::default() };
    let options = PrepareOptions { length, ..PrepareOptions::default() };
    tokenize_episodes(tokenizer, &[sample], options).map(|(mut all, _)| all.remove(0))
}

#[test]
fn turns_are_scored_with_their_ends_and_replies_are_those_of_a_played_episode() {
    let tokenizer = tokenizer(BuiltIn::ChatMl);
    let prompt = [("system", "be brief"), ("user", "go"), ("assistant", "where?"), ("user", "home")];
    let turns =
        [("assistant", "left"), ("user", "a wall is there"), ("assistant", "up"), ("user", ""), ("assistant", "down")];
    let found = tokenised(&tokenizer, sample(chat(&prompt), chat(&turns)), None).unwrap();
    let text = |tokens: &[u32]| tokenizer.decode(tokens, false).unwrap();
    let written: Vec<String> = found.written().map(|turn| text(&found.completion[turn])).collect();
    assert_eq!(written, ["left<|im_end|>", "up<|im_end|>", "down<|im_end|>"]);
    assert!(text(&found.prompt).ends_with("home<|im_end|>\n<|im_start|>assistant\n"), "{}", text(&found.prompt));
    // a policy that plays sees the same tokens
    let mut played = tokenizer.encode(&tokenizer.render(&messages(&prompt), true).unwrap()).unwrap();
    assert_eq!(played, found.prompt);
    let between = BetweenTurns::new(&tokenizer, "user").unwrap();
    for (i, (role, said)) in turns.iter().enumerate() {
        if *role == "assistant" {
            played.extend(tokenizer.encode(said).unwrap());
            played.extend(tokenizer.eos_id());
        } else {
            let given = between.tokens(said, tokenizer.eos_id()).unwrap();
            assert_eq!(given, found.completion[found.given[i / 2].clone()]);
            played.extend(given);
        }
    }
    assert_eq!(played, [found.prompt.clone(), found.completion.clone()].concat());
    // a turn that something else ended is closed first
    let open = between.tokens("no", None).unwrap();
    assert_eq!(text(&open), "<|im_end|>\n<|im_start|>user\nno<|im_end|>\n<|im_start|>assistant\n");
}

fn messages(turns: &[(&str, &str)]) -> Vec<Message> {
    turns.iter().map(|(role, said)| Message::new(*role, *said)).collect()
}

#[test]
fn cuts_leave_whole_tokens_of_either_kind() {
    let tokenizer = tokenizer(BuiltIn::ChatMl);
    let turns = chat(&[("assistant", "left"), ("user", "a wall is there"), ("assistant", "up")]);
    let whole = tokenised(&tokenizer, sample(chat(&[("user", "go")]), turns.clone()), None).unwrap();
    for max in whole.prompt.len() + 1..=whole.len() {
        let cut = tokenised(&tokenizer, sample(chat(&[("user", "go")]), turns.clone()), Some(max)).unwrap();
        assert_eq!(cut.completion, whole.completion[..max - whole.prompt.len()]);
        let given: usize = cut.given.iter().map(|g| g.len()).sum();
        assert_eq!(cut.scored(), cut.completion.len() - given);
    }
}

#[test]
fn what_is_no_episode_is_named() {
    let tokenizer = tokenizer(BuiltIn::ChatMl);
    let said = |prompt, completion| tokenised(&tokenizer, sample(prompt, completion), None).unwrap_err().to_string();
    let plain = said(Text::Plain("go".into()), Text::Plain("left".into()));
    assert!(plain.contains("episodes.jsonl") && plain.contains("messages"), "{plain}");
    let other = said(chat(&[("user", "go")]), chat(&[("user", "left"), ("assistant", "up")]));
    assert!(other.contains("assistant's"), "{other}");
}

#[test]
fn templates_that_rewrite_earlier_turns_are_refused() {
    let of = |template: &str| {
        Tokenizer::train(["a b"].into_iter(), 259).unwrap().with_template(template, TemplateLimits::default()).unwrap()
    };
    // only the last message's words; only the assistant's last words
    for shown in ["loop.last", "loop.last or m.role == 'user'"] {
        let template = format!(
            "{{% for m in messages %}}{{{{ m.role }}}}:{{% if {shown} %}}{{{{ m.content }}}}{{% else %}}...{{% endif %}}\n\
             {{% endfor %}}{{% if add_generation_prompt %}}assistant:{{% endif %}}"
        );
        let tokenizer = of(&template);
        let between = BetweenTurns::new(&tokenizer, "user").and_then(|b| b.tokens("no", None));
        let error = between.unwrap_err().to_string();
        assert!(error.contains("changes earlier turns"), "{error}");
    }
}
