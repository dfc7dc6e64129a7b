//! Public data sets of pairs and ratings, in rows of their schema.

use tropism_data::formats::Format;
use tropism_data::record::{Record, Response};

use crate::support::{options, record_error, records, said};

fn ranks(record: &Record) -> Vec<Option<f64>> {
    record.responses.iter().map(|response| response.rank).collect()
}

fn aspects(response: &Response) -> Vec<(&str, f64)> {
    response.aspects.iter().map(|(name, value)| (name.as_str(), *value)).collect()
}

#[test]
fn hh_rlhf() {
    let row = |end: &str| format!("\\n\\nHuman: Hi\\n\\nAssistant: Hello\\n\\nHuman: Bye\\n\\nAssistant: {end}");
    let (format, found, _) = records(&format!(r#"{{"chosen":"{}","rejected":"{}"}}"#, row("See you"), row("Go away")));
    assert_eq!((format, said(&found[0].prompt)), (Format::Hh, "user: Hi | assistant: Hello | user: Bye".to_owned()));
    let sides: Vec<String> = found[0].responses.iter().map(|r| said(&r.content)).collect();
    assert_eq!(sides, ["assistant: See you", "assistant: Go away"]);
}

#[test]
fn ultrafeedback_original() {
    let completion = |score: &str, rating: &str| {
        format!(
            r#"{{"annotations":{{"helpfulness":{{"Rating":"{rating}","Rationale":"because","Type":["1"]}},"honesty":{{"Rating":"4","Rationale":"x"}},"instruction_following":{{"Rating":"5","Rationale":"x"}},"truthfulness":{{"Rating":"3","Rationale":"x"}}}},"critique":"could be better","custom_system_prompt":"be kind","fine-grained_score":4.25,"model":"m","overall_score":{score},"principle":"helpfulness","response":"answer {score}"}}"#
        )
    };
    let row = format!(
        r#"{{"source":"sharegpt","instruction":"do it","models":["m","m"],"completions":[{},{}],"correct_answers":["None"],"incorrect_answers":["None"]}}"#,
        completion("7.5", "4"),
        completion("6.0", "N/A")
    );
    let (format, found, _) = records(&row);
    assert_eq!((format, found[0].origin.as_deref()), (Format::Ultrafeedback, Some("sharegpt")));
    assert_eq!(said(&found[0].prompt), "user: do it");
    let [first, second] = &found[0].responses[..] else { panic!() };
    assert_eq!(
        (first.score, first.model.as_deref(), said(&first.content)),
        (Some(7.5), Some("m"), "assistant: answer 7.5".into())
    );
    let rated = [("fine-grained_score", 4.25), ("helpfulness", 4.0), ("honesty", 4.0), ("instruction_following", 5.0)];
    assert_eq!(aspects(first)[..4], rated);
    // a rating of N/A is none
    assert_eq!((second.aspects.get("helpfulness"), second.aspects.len()), (None, 4));
    assert!(first.extras.iter().any(|(key, value)| key == "critique" && value.text() == Some("could be better")));
    let error = record_error(r#"{"instruction":"q","completions":[{"model":"m"}]}"#, &options("{}"));
    assert!(error.contains("item 1 lacks the text `response`"), "{error}");
}

#[test]
fn ultrafeedback_binarized() {
    let side = |text: &str| format!(r#"[{{"content":"q","role":"user"}},{{"content":"{text}","role":"assistant"}}]"#);
    let row = |prompt: &str| {
        format!(
            r#"{{"prompt":"{prompt}","prompt_id":"ab12","chosen":{},"rejected":{},"messages":{},"score_chosen":8.5,"score_rejected":7.0}}"#,
            side("good"),
            side("bad"),
            side("good")
        )
    };
    let (format, found, audit) = records(&format!("{}\n{}", row("q"), row("something else")));
    assert_eq!((format, found[0].id.as_deref()), (Format::UltrafeedbackBinarized, Some("ab12")));
    assert_eq!(said(&found[0].prompt), "user: q");
    assert_eq!(found[0].responses.iter().map(|r| r.score).collect::<Vec<_>>(), [Some(8.5), Some(7.0)]);
    assert_eq!(ranks(&found[0]), [Some(1.0), Some(2.0)]);
    assert_eq!(audit.dropped["prompt column differs from the messages"].rows, [2]);
}

#[test]
fn helpsteer2_rows_of_a_prompt_are_one_record() {
    let row = |prompt: &str, response: &str, helpfulness: u8| {
        format!(
            r#"{{"prompt":"{prompt}","response":"{response}","helpfulness":{helpfulness},"correctness":3,"coherence":4,"complexity":2,"verbosity":1}}"#
        )
    };
    let several = "c\\n<extra_id_1>Assistant\\nHello\\n<extra_id_1>User\\nd";
    let rows = [row("a", "r1", 4), row("a", "r2", 2), row(several, "r3", 0), row("a", "r4", 1)].join("\n");
    let (format, found, audit) = records(&rows);
    assert_eq!((format, audit.read, audit.kept), (Format::Helpsteer2, 4, 4));
    assert_eq!(found.iter().map(|r| r.responses.len()).collect::<Vec<_>>(), [2, 1, 1]);
    assert_eq!(audit.notes["row joined to the one before, which has the same prompt"].rows, [2]);
    assert_eq!(said(&found[1].prompt), "user: c | assistant: Hello | user: d");
    let first = &found[0].responses[0];
    let expected = [("coherence", 4.0), ("complexity", 2.0), ("correctness", 3.0), ("helpfulness", 4.0), ("verbosity", 1.0)];
    assert_eq!((first.score, &aspects(first)[..]), (Some(4.0), &expected[..]));
}

#[test]
fn helpsteer2_preferences() {
    let row = |strength: i8| {
        format!(
            r#"{{"split":"train","prompt":"q","response_1":"a","response_2":"b","preference_strength":{strength},"preference_statement":"s","preference_elaboration":"e"}}"#
        )
    };
    let (format, found, _) = records(&[row(-3), row(2), row(0)].join("\n"));
    assert_eq!(format, Format::Helpsteer2Preference);
    let found: Vec<_> = found.iter().map(|r| (ranks(r), r.numbers["preference_strength"])).collect();
    let rank = |a: f64, b: f64| vec![Some(a), Some(b)];
    assert_eq!(found, [(rank(1.0, 2.0), -3.0), (rank(2.0, 1.0), 2.0), (rank(1.0, 1.0), 0.0)]);
}

#[test]
fn safe_rlhf_keeps_both_preferences() {
    let row = |better: u8, safer: u8| {
        format!(
            r#"{{"prompt":"q","prompt_source":"p","response_0":"a","response_1":"b","response_0_source":"m0","response_1_source":"m1","is_response_0_safe":true,"is_response_1_safe":false,"response_0_harm_category":{{"Violence":false}},"response_1_harm_category":{{"Violence":true}},"response_0_severity_level":0,"response_1_severity_level":2,"better_response_id":{better},"safer_response_id":{safer},"response_0_sha256":"x","response_1_sha256":"y"}}"#
        )
    };
    let (format, found, _) = records(&row(1, 0));
    assert_eq!((format, ranks(&found[0])), (Format::SafeRlhf, vec![Some(2.0), Some(1.0)]));
    let [first, second] = &found[0].responses[..] else { panic!() };
    assert_eq!(aspects(first), [("better", 0.0), ("safe", 1.0), ("safer", 1.0), ("severity_level", 0.0)]);
    assert_eq!(aspects(second), [("better", 1.0), ("safe", 0.0), ("safer", 0.0), ("severity_level", 2.0)]);
    assert_eq!((first.model.as_deref(), first.label, second.label), (Some("m0"), Some(true), Some(false)));
    let error = record_error(&row(2, 0), &options("{}"));
    assert!(error.contains("`better_response_id` holds 2; a whole number from 0 to 1"), "{error}");
}

#[test]
fn beavertails() {
    let row = r#"{"prompt":"q","response":"a","category":{"animal_abuse":false,"violence,aiding_and_abetting,incitement":true},"is_safe":false}"#;
    let (format, found, _) = records(row);
    let response = &found[0].responses[0];
    assert_eq!((format, response.label), (Format::Beavertails, Some(false)));
    assert_eq!(aspects(response), [("animal_abuse", 0.0), ("violence,aiding_and_abetting,incitement", 1.0)]);
}

#[test]
fn stanford_human_preferences() {
    let row = |labels: u8| {
        format!(
            r#"{{"post_id":"p1","domain":"askbaking_train","upvote_ratio":0.98,"history":"why?","c_root_id_A":"a","c_root_id_B":"b","created_at_utc_A":1,"created_at_utc_B":2,"score_A":20,"score_B":8,"human_ref_A":"A!","human_ref_B":"B!","labels":{labels},"seconds_difference":10.0,"score_ratio":2.5}}"#
        )
    };
    let (format, found, _) = records(&[row(1), row(0)].join("\n"));
    assert_eq!(format, Format::Shp);
    assert_eq!((ranks(&found[0]), ranks(&found[1])), (vec![Some(1.0), Some(2.0)], vec![Some(2.0), Some(1.0)]));
    assert_eq!((found[0].id.as_deref(), found[0].numbers["score_ratio"]), (Some("p1"), 2.5));
    assert_eq!(found[0].responses.iter().map(|r| r.score).collect::<Vec<_>>(), [Some(20.0), Some(8.0)]);
}

#[test]
fn summaries() {
    let info =
        r#"{"id":"t3_x","post":"I did.\n\nThen not.","title":"Well","subreddit":"advice","site":null,"article":null}"#;
    let row = format!(
        r#"{{"info":{info},"summaries":[{{"text":" first","policy":"sup1","note":"n"}},{{"text":"second","policy":"ref","note":"n"}}],"choice":1,"worker":"w","batch":"batch3","split":"train","extra":{{"confidence":7}}}}"#
    );
    let (format, found, _) = records(&row);
    assert_eq!((format, found[0].origin.as_deref()), (Format::SummarizeFromFeedback, Some("batch3")));
    assert_eq!(said(&found[0].prompt), "SUBREDDIT: r/advice\n\nTITLE: Well\n\nPOST: I did.\nThen not.\n\nTL;DR:");
    let pair = found[0].clone().pair().unwrap();
    assert_eq!((said(&pair.chosen), said(&pair.rejected)), (" second".to_owned(), " first".to_owned()));
    let rated = r#"{"info":{"id":"c","article":"News.","title":"T"},"summary":{"text":"short","policy":"p","axes":{"overall":5,"accuracy":7,"coverage":null}},"worker":"w","batch":"cnndm0","split":"test"}"#;
    let (format, found, _) = records(rated);
    assert_eq!(
        (format, said(&found[0].prompt)),
        (Format::SummarizeFromFeedbackAxis, "TITLE: T\n\nNews.\n\nTL;DR:".to_owned())
    );
    let response = &found[0].responses[0];
    assert_eq!((response.score, aspects(response)), (Some(5.0), vec![("accuracy", 7.0), ("overall", 5.0)]));
}

#[test]
fn argilla_mixes() {
    let side = |text: &str| format!(r#"[{{"role":"user","content":"q"}},{{"role":"assistant","content":"{text}"}}]"#);
    let sides = format!(r#""chosen":{},"rejected":{}"#, side("good"), side("bad"));
    let rows = [
        format!(
            r#"{{"source":"evol","prompt":"q",{sides},"chosen-rating":5.0,"chosen-model":"m1","rejected-rating":3.5,"rejected-model":"m2"}}"#
        ),
        format!(r#"{{"dataset":"argilla/x",{sides},"chosen_rating":5.0,"rejected_rating":3.5}}"#),
        format!(
            r#"{{"source":"evol","prompt":"q","conversation":[],{sides},"rating_chosen":5,"rating_rejected":3.5,"chosen_model":"m1","rejected_model":"m2"}}"#
        ),
    ];
    for (row, (origin, model)) in rows.iter().zip([("evol", Some("m1")), ("argilla/x", None), ("evol", Some("m1"))]) {
        let (format, found, _) = records(row);
        assert_eq!(
            (format, found[0].origin.as_deref(), said(&found[0].prompt)),
            (Format::Argilla, Some(origin), "user: q".into())
        );
        let scores: Vec<_> = found[0].responses.iter().map(|r| r.score).collect();
        assert_eq!((scores, found[0].responses[0].model.as_deref()), (vec![Some(5.0), Some(3.5)], model));
    }
}

#[test]
fn orca_pairs_keep_the_system_message() {
    for question in ["question", "input"] {
        let row =
            |system: &str| format!(r#"{{"system":"{system}","{question}":"q","chosen":"a","rejected":"b","rating":[9,5]}}"#);
        let (format, found, _) = records(&[row("be brief"), row("")].join("\n"));
        assert_eq!((format, said(&found[0].prompt)), (Format::OrcaPairs, "system: be brief | user: q".to_owned()));
        assert_eq!(said(&found[1].prompt), "user: q");
    }
}
