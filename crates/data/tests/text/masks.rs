//! Assistant masks: which tokens are trained, and what is refused.

use proptest::prelude::*;
use tropism_data::DataError;
use tropism_data::pack::pack_chats;
use tropism_data::record::{Message, Source};
use tropism_data::text::{AssistantMask, BuiltIn, Tokenizer, tokenize_chat};
use tropism_data::tokens::{LengthOptions, TokenChat, Truncation};

use crate::variants::{golden, with_template};

fn at() -> Source {
    Source::row("chats", 3)
}

fn dialogue(turns: &[(&str, &str)]) -> Vec<Message> {
    turns.iter().map(|(role, content)| Message::new(*role, *content)).collect()
}

fn both(tokenizer: &Tokenizer, messages: &[Message]) -> [Result<TokenChat, DataError>; 2] {
    [AssistantMask::Tags, AssistantMask::Prefix].map(|mask| tokenize_chat(tokenizer, &at(), messages, &[], mask))
}

#[test]
fn a_drawn_example() {
    let tokenizer = golden().with_built_in(BuiltIn::ChatMl).unwrap();
    let messages = dialogue(&[("user", "Hi"), ("assistant", "Yo"), ("user", "Bye"), ("assistant", "x")]);
    for chat in both(&tokenizer, &messages) {
        let chat = chat.unwrap();
        let spans: Vec<(bool, String)> = chat
            .mask
            .chunk_by(|a, b| a == b)
            .scan(0, |next, run| {
                let ids = &chat.ids[*next..*next + run.len()];
                *next += run.len();
                Some((run[0], tokenizer.decode(ids, false).unwrap()))
            })
            .collect();
        let expected = [
            (false, "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"),
            (true, "Yo<|im_end|>\n"),
            (false, "<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n"),
            (true, "x<|im_end|>\n"),
        ];
        assert_eq!(spans, expected.map(|(on, text)| (on, text.to_owned())));
    }
}

#[test]
fn what_cannot_be_masked_is_an_error_with_the_row() {
    let tokenizer = golden().with_built_in(BuiltIn::ChatMl).unwrap();
    // the break before the answer and the one that it begins with are one token
    for chat in both(&tokenizer, &dialogue(&[("user", "a"), ("assistant", "\n\n\nb")])) {
        if let Err(error) = chat {
            assert!(matches!(&error, DataError::Boundary { at, .. } if at.row == 3), "{error}");
        }
    }
    for chat in both(&tokenizer, &dialogue(&[("user", "a")])) {
        let error = chat.unwrap_err().to_string();
        assert!(error.contains("chats, row 3") && error.contains("no assistant turn"), "{error}");
    }
    let [tags, prefix] = both(&golden(), &dialogue(&[("user", "a"), ("assistant", "b")]));
    let error = tags.unwrap_err().to_string();
    assert!(error.contains("chats, row 3") && error.contains("no {% generation %} tags"), "{error}");
    assert!(prefix.is_ok());
    // drops the first answer once there is a second, as templates do with earlier reasoning
    let forgetful = with_template(
        "{% for m in messages %}{% if m.role == 'user' or loop.index0 >= loop.length - 1 %}[{{ m.role }}]{{ m.content }}{% endif %}\
         {% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}",
    );
    let long = dialogue(&[("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")]);
    let error = tokenize_chat(&forgetful, &at(), &long, &[], AssistantMask::Prefix).unwrap_err();
    assert!(matches!(error, DataError::NotPrefix { .. }), "{error}");
}

#[test]
fn cuts_and_packs() {
    let chat = TokenChat { source: at(), ids: vec![1, 2, 3, 4, 5], mask: vec![true, false, true, false, true] };
    let cut = |max_length, truncation| chat.clone().truncate(&LengthOptions { max_length: Some(max_length), truncation });
    assert_eq!(cut(3, Truncation::KeepStart).unwrap().ids, [1, 2, 3]);
    assert_eq!(cut(2, Truncation::KeepStart), Err("no token to score"));
    assert_eq!(cut(2, Truncation::KeepEnd).unwrap().mask, [false, true]);
    assert_eq!(cut(4, Truncation::Drop), Err("longer than max_length"));
    assert_eq!(cut(5, Truncation::Drop).unwrap(), chat);
    let packed = pack_chats(&[chat.clone(), chat.clone()]).unwrap();
    assert_eq!(packed.tokens, [1, 2, 3, 4, 5, 1, 2, 3, 4, 5]);
    assert_eq!((&packed.targets[..], &packed.sources[..]), (&[3, 5, 3, 5][..], &[1, 3, 6, 8][..]));
    assert_eq!(packed.sequences, [0..2, 2..4]);
    assert_eq!(packed.positions(), [0, 1, 2, 3, 4, 0, 1, 2, 3, 4]);
    let error = pack_chats(&[TokenChat { mask: vec![true], ..chat.clone() }]).unwrap_err().to_string();
    assert!(error.contains("chats, row 3") && error.contains("5 tokens and a mask of 1"), "{error}");
    let none = TokenChat { mask: vec![true, false, false, false, false], ..chat };
    assert!(pack_chats(&[none]).unwrap_err().to_string().contains("no token to score"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn trained_tokens_are_the_answers(turns in prop::collection::vec(("[a-z' ]{0,12}", "[a-zA-Z0-9 ,.!?é]{1,20}"), 1..5)) {
        let tokenizer = golden().with_built_in(BuiltIn::ChatMl).unwrap();
        let messages: Vec<Message> = turns
            .iter()
            .flat_map(|(question, answer)| [Message::new("user", question), Message::new("assistant", answer)])
            .collect();
        let [tags, prefix] = both(&tokenizer, &messages).map(Result::unwrap);
        prop_assert_eq!(&tags, &prefix);
        prop_assert_eq!(tags.ids.len(), tags.mask.len());
        let whole = tokenizer.encode(&tokenizer.render(&messages, false).unwrap()).unwrap();
        prop_assert_eq!(&tags.ids, &whole);
        let trained: Vec<u32> = tags.ids.iter().zip(&tags.mask).filter(|(_, on)| **on).map(|(&id, _)| id).collect();
        let expected: String = turns.iter().map(|(_, answer)| format!("{answer}<|im_end|>\n")).collect();
        prop_assert_eq!(tokenizer.decode(&trained, false).unwrap(), expected);
    }

    #[test]
    fn a_cut_keeps_ids_and_mask_together(
        tokens in prop::collection::vec((0u32..9, any::<bool>()), 0..30), max in 2usize..20, end: bool,
    ) {
        let (ids, mask): (Vec<u32>, Vec<bool>) = tokens.iter().copied().unzip();
        let truncation = if end { Truncation::KeepEnd } else { Truncation::KeepStart };
        let chat = TokenChat { source: at(), ids, mask };
        let Ok(cut) = chat.truncate(&LengthOptions { max_length: Some(max), truncation }) else { return Ok(()) };
        let kept: Vec<(u32, bool)> = cut.ids.into_iter().zip(cut.mask).collect();
        prop_assert_eq!(kept.len(), tokens.len().min(max));
        let same = if end { tokens.ends_with(&kept) } else { tokens.starts_with(&kept) };
        prop_assert!(same);
    }
}
