//! BOS and EOS: the whole table of template, tokenizer, kind of text and policy.

use serde_json::{Value, json};
use tropism_data::record::{Message, Pair, Source, Text};
use tropism_data::text::{Bos, Eos, TokenPolicy, Tokenizer, tokenize_pair};

use crate::variants::{golden, variant};

const BOS: u32 = 2;
const EOS: u32 = 1;

/// The golden tokenizer with `<pad>` as BOS, which its post-processor may add, and a template that may write BOS and EOS.
fn tokenizer(adds_bos: bool, template: &str) -> Tokenizer {
    let dir = tempfile::tempdir().unwrap();
    let change = |config: &mut Value| {
        config["bos_token"] = json!("<pad>");
        config["chat_template"] = json!(template);
    };
    variant(change, &[]).unwrap().save(dir.path()).unwrap();
    if adds_bos {
        let path = dir.path().join("tokenizer.json");
        let mut json: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        json["post_processor"] = json!({
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<pad>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<pad>": {"id": "<pad>", "ids": [BOS], "tokens": ["<pad>"]}},
        });
        std::fs::write(&path, json.to_string()).unwrap();
    }
    Tokenizer::load(dir.path()).unwrap()
}

fn pair(chat: bool, prompt: &str, answer: &str) -> Pair {
    let text = |role: &str, content: &str| match chat {
        true => Text::Chat(vec![Message::new(role, content)]),
        false => Text::Plain(content.into()),
    };
    Pair {
        source: Source::row("rows", 4),
        prompt: text("user", prompt),
        tools: vec![],
        chosen: text("assistant", answer),
        rejected: text("assistant", "no"),
        numbers: Default::default(),
    }
}

fn count(ids: &[u32], id: u32) -> usize {
    ids.iter().filter(|&&other| other == id).count()
}

#[test]
fn the_whole_table() {
    let mut cases = 0;
    for (writes, adds, chat) in (0..8).map(|bits| (bits & 1 > 0, bits & 2 > 0, bits & 4 > 0)) {
        let begin = if writes { "{{ bos_token }}" } else { "" };
        let end = if writes { "{{ eos_token }}\\n" } else { "" };
        let template = format!(
            "{begin}{{% for m in messages %}}[{{{{ m.role }}}}]{{{{ m.content }}}}{{% if m.role == 'assistant' %}}{}{{% endif %}}\
             {{% endfor %}}{{% if add_generation_prompt %}}[assistant]{{% endif %}}",
            end.replace("\\n", "\n")
        );
        let plain = tokenizer(adds, &template);
        let policies = [Bos::Tokenizer, Bos::Always, Bos::Never]
            .into_iter()
            .flat_map(|bos| [Eos::Template, Eos::Always, Eos::Never].map(|eos| TokenPolicy { bos, eos }));
        for policy in policies {
            let TokenPolicy { bos, eos } = policy;
            let tokenizer = plain.clone().with_policy(policy).unwrap();
            let found = tokenize_pair(&tokenizer, &pair(chat, "q", "yes")).unwrap();
            let case = format!("writes {writes}, adds {adds}, chat {chat}, {bos:?}, {eos:?}: {found:?}");
            let wanted = match bos {
                Bos::Always => true,
                Bos::Never => false,
                Bos::Tokenizer => {
                    if chat {
                        writes
                    } else {
                        adds
                    }
                }
            };
            assert_eq!(count(&found.prompt, BOS), usize::from(wanted), "{case}");
            assert_eq!(found.prompt.first() == Some(&BOS), wanted, "{case}");
            assert_eq!(tokenizer.encode_prompt(&pair(chat, "q", "yes").prompt, &[]).unwrap(), found.prompt, "{case}");
            for side in [&found.chosen, &found.rejected] {
                let wanted = match eos {
                    Eos::Always => true,
                    Eos::Never => false,
                    Eos::Template => !chat || writes,
                };
                assert_eq!(count(side, EOS), usize::from(wanted), "{case}");
                let last = side.last() == Some(&EOS);
                assert_eq!(last, wanted && !(chat && eos == Eos::Template), "{case}");
                assert_eq!(count(side, BOS), 0, "{case}");
            }
            cases += 1;
        }
    }
    assert_eq!(cases, 72);
}

#[test]
fn a_text_that_writes_them_gets_no_second() {
    for adds in [false, true] {
        let tokenizer = tokenizer(adds, "");
        let policy = TokenPolicy { bos: Bos::Always, eos: Eos::Always };
        for tokenizer in [tokenizer.clone(), tokenizer.with_policy(policy).unwrap()] {
            let found = tokenize_pair(&tokenizer, &pair(false, "<pad>q", "yes<|im_end|>")).unwrap();
            assert_eq!((count(&found.prompt, BOS), count(&found.chosen, EOS)), (1, 1));
            let found = tokenize_pair(&tokenizer, &pair(false, "", "<pad>yes"));
            // the other side does not begin with BOS, so the empty prompt must not get one on behalf of this
            assert!(found.is_ok() || found.unwrap_err().to_string().contains("two BOS"));
        }
    }
}

#[test]
fn two_in_a_row_are_errors_that_name_the_row() {
    let template = "{{ bos_token }}{% for m in messages %}{{ m.content }}{% if m.role == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}";
    let tokenizer = tokenizer(false, template);
    for (prompt, answer, what) in [("<pad>q", "a", "two BOS tokens"), ("q", "a<|im_end|>", "two EOS tokens")] {
        let error = tokenize_pair(&tokenizer, &pair(true, prompt, answer)).unwrap_err().to_string();
        assert!(error.contains("rows, row 4") && error.contains(what), "{error}");
    }
}

#[test]
fn policies_are_saved_and_hashed() {
    let dir = tempfile::tempdir().unwrap();
    let policy = TokenPolicy { bos: Bos::Tokenizer, eos: Eos::Always };
    let tokenizer = golden().with_policy(policy).unwrap();
    assert_ne!(tokenizer.hash(), golden().hash());
    tokenizer.save(dir.path()).unwrap();
    let loaded = Tokenizer::load(dir.path()).unwrap();
    assert_eq!((loaded.policy(), loaded.hash()), (policy, tokenizer.hash()));
    assert_eq!(loaded.with_policy(TokenPolicy::default()).unwrap().hash(), golden().hash());
    let error = golden().with_policy(TokenPolicy { bos: Bos::Always, eos: Eos::Template }).unwrap_err().to_string();
    assert!(error.contains("wants bos_token always"), "{error}");
    for (text, what) in [("{\"bos\": \"sometimes\"}", "unknown variant"), ("{\"bois\": \"never\"}", "unknown field")] {
        let error = variant(|_| {}, &[("token_policy.json", text)]).unwrap_err().to_string();
        assert!(error.contains("token_policy.json: ") && error.contains(what), "{error}");
    }
}
