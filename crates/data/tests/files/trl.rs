//! The types of data sets of TRL, as text and as messages.

use tropism_data::formats::Format;
use tropism_data::record::{Text, Value};

use crate::support::{options, record_error, records, said};

#[test]
fn language_modeling() {
    let (format, found, _) = records(r#"{"text":"The sky is blue."}"#);
    assert_eq!((format, &found[0].prompt), (Format::LanguageModeling, &Text::empty()));
    assert_eq!(found[0].responses[0].content, Text::Plain("The sky is blue.".into()));
    let turns = r#"[{"role":"system","content":"s"},{"role":"user","content":"q"},{"role":"assistant","content":"a"},{"role":"user","content":"r"},{"role":"assistant","content":"b"}]"#;
    let (format, found, _) = records(&format!(r#"{{"messages":{turns}}}"#));
    assert_eq!(format, Format::LanguageModeling);
    assert_eq!(said(&found[0].prompt), "system: s | user: q | assistant: a | user: r");
    assert_eq!(said(&found[0].responses[0].content), "assistant: b");
    let shared =
        r#"{"conversations":[{"from":"system","value":"s"},{"from":"human","value":"q"},{"from":"gpt","value":"a"}]}"#;
    let (format, found, _) = records(shared);
    assert_eq!((format, said(&found[0].prompt)), (Format::LanguageModeling, "system: s | user: q".to_owned()));
    let rows = [r#"{"messages":[{"role":"user","content":"q"}]}"#, r#"{"messages":[{"role":"assistant","content":"a"}]}"#];
    let (_, _, audit) = records(&[rows[0].to_owned(), rows[1].to_owned(), format!(r#"{{"messages":{turns}}}"#)].join("\n"));
    assert_eq!(audit.dropped["the conversation does not end with an assistant turn"].rows, [1]);
    assert_eq!(audit.dropped["empty prompt"].rows, [2]);
}

#[test]
fn tools_and_calls_survive() {
    let call = r#"{"role":"assistant","content":null,"tool_calls":[{"type":"function","function":{"name":"add","arguments":{"b":2,"a":1}}}]}"#;
    let row = format!(
        r#"{{"messages":[{{"role":"system","content":"s"}},{{"role":"user","content":"1+2?"}},{call},{{"role":"tool","name":"add","content":"3"}},{{"role":"assistant","content":"3"}}],"tools":[{{"type":"function","function":{{"name":"add"}}}}]}}"#
    );
    let (_, found, _) = records(&row);
    assert_eq!(found[0].tools[0].get("type"), Some(&Value::from("function")));
    let Text::Chat(prompt) = &found[0].prompt else { panic!() };
    let calls = prompt[2].extra("tool_calls").unwrap();
    assert_eq!(calls.to_string(), r#"[{"type":"function","function":{"name":"add","arguments":{"b":2,"a":1}}}]"#);
    assert_eq!(prompt[3].extra("name"), Some(&Value::from("add")));
    // tools as text, which tables need since schemas differ
    let (_, found, _) = records(r#"{"prompt":[{"role":"user","content":"q"}],"tools":"[{\"type\":\"function\"}]"}"#);
    assert_eq!(found[0].tools.len(), 1);
    // and in pairs
    let pair = format!(
        r#"{{"prompt":[{{"role":"user","content":"q"}}],"chosen":[{call}],"rejected":[{{"role":"assistant","content":"no"}}],"tools":[{{}}]}}"#
    );
    let (format, found, _) = records(&pair);
    assert_eq!((format, found[0].tools.len()), (Format::Preference, 1));
    let made = found[0].clone().pair().unwrap();
    assert!(matches!(&made.chosen, Text::Chat(turns) if turns[0].extra("tool_calls").is_some()));
    assert_eq!(made.tools.len(), 1);
}

#[test]
fn prompts_and_completions() {
    let (format, found, _) = records(r#"{"prompt":"The sky is"}"#);
    assert_eq!((format, found[0].responses.len()), (Format::PromptOnly, 0));
    let (format, found, _) = records(r#"{"prompt":[{"role":"user","content":"q"}]}"#);
    assert_eq!((format, said(&found[0].prompt)), (Format::PromptOnly, "user: q".to_owned()));
    let (format, found, _) = records(r#"{"prompt":"The sky is","completion":" blue."}"#);
    assert_eq!((format, said(&found[0].responses[0].content)), (Format::PromptCompletion, " blue.".to_owned()));
    let chat = r#"{"prompt":[{"role":"user","content":"q"}],"completion":[{"role":"assistant","content":"a"}]}"#;
    let (format, found, _) = records(chat);
    assert_eq!((format, said(&found[0].responses[0].content)), (Format::PromptCompletion, "assistant: a".to_owned()));
}

#[test]
fn preference_with_explicit_prompt() {
    let text = r#"{"prompt":"The sky is","chosen":" blue.","rejected":" green."}"#;
    let chat = r#"{"prompt":[{"role":"user","content":"q"}],"chosen":[{"role":"assistant","content":"a"}],"rejected":[{"role":"assistant","content":"b"}]}"#;
    for (row, expected) in [(text, ["The sky is", " blue.", " green."]), (chat, ["user: q", "assistant: a", "assistant: b"])]
    {
        let (format, found, _) = records(row);
        assert_eq!(format, Format::Preference);
        let pair = found[0].clone().pair().unwrap();
        assert_eq!([&pair.prompt, &pair.chosen, &pair.rejected].map(said), expected);
        assert_eq!(found[0].responses.iter().map(|r| r.rank).collect::<Vec<_>>(), [Some(1.0), Some(2.0)]);
    }
}

#[test]
fn preference_with_implicit_prompt() {
    let chat = r#"{"chosen":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}],"rejected":[{"role":"user","content":"q"},{"role":"assistant","content":"b"}]}"#;
    let (format, found, _) = records(chat);
    assert_eq!((format, said(&found[0].prompt)), (Format::Preference, "user: q".to_owned()));
    let text = r#"{"chosen":"The sky is blue.","rejected":"The sky is green."}"#;
    let (_, found, _) = records(text);
    assert_eq!((said(&found[0].prompt), said(&found[0].responses[0].content)), (String::new(), "The sky is blue.".into()));
    let folder = crate::support::Folder::new();
    let shared = options(r#"{"implicit_prompt":"shared"}"#);
    let rows = format!("{text}\n{{\"chosen\":\"a b\",\"rejected\":\"a b c\"}}\n");
    let (found, audit) = tropism_data::read::read_records(&folder.write("x.jsonl", rows), &shared).unwrap();
    assert_eq!((said(&found[0].prompt), said(&found[0].responses[1].content)), ("The sky is".into(), " green.".into()));
    assert_eq!(audit.dropped["one side is the beginning of the other"].rows, [2]);
    let error = record_error(r#"{"prompt":"a","completion":"b"}"#, &shared);
    assert!(error.contains("`implicit_prompt` is shared: the format `prompt_completion` has no prompt"), "{error}");
}

#[test]
fn unpaired() {
    for row in [
        r#"{"prompt":"The sky is","completion":" blue.","label":true}"#,
        r#"{"prompt":[{"role":"user","content":"q"}],"completion":[{"role":"assistant","content":"a"}],"label":1}"#,
    ] {
        let (format, found, _) = records(row);
        assert_eq!((format, found[0].responses[0].label), (Format::Unpaired, Some(true)));
    }
    let error = record_error(
        "{\"prompt\":\"a\",\"completion\":\"b\",\"label\":true}\n{\"prompt\":\"a\",\"completion\":\"b\",\"label\":\"yes\"}",
        &options("{}"),
    );
    assert!(error.contains("line 2: column `label` holds text; true or false was expected"), "{error}");
}

#[test]
fn stepwise_supervision() {
    let (format, found, _) = records(r#"{"prompt":"1+2*3?","completions":["2*3=6","1+6=8"],"labels":[true,false]}"#);
    assert_eq!(format, Format::Stepwise);
    let response = &found[0].responses[0];
    assert_eq!(said(&response.content), "2*3=6\n1+6=8");
    assert_eq!(response.steps.iter().map(|step| step.label).collect::<Vec<_>>(), [Some(true), Some(false)]);
    // ratings as in PRM800K
    let (_, found, _) = records(r#"{"prompt":"p","completions":["a","b","c"],"labels":[1,0,-1]}"#);
    let steps = &found[0].responses[0].steps;
    assert_eq!(
        steps.iter().map(|step| (step.label, step.score)).collect::<Vec<_>>(),
        [(Some(true), Some(1.0)), (Some(false), Some(0.0)), (Some(false), Some(-1.0))]
    );
    for (row, reason) in [
        (r#"{"prompt":"p","completions":["a"],"labels":[]}"#, "have 1 and 0 items"),
        (r#"{"prompt":"p","completions":[3],"labels":[true]}"#, "`completions` has a number"),
        (r#"{"prompt":"p","completions":["a"],"labels":["no"]}"#, "`labels` has text"),
    ] {
        let error = record_error(row, &options("{}"));
        assert!(error.contains(reason), "{error}");
    }
}
