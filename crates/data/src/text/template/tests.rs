#![allow(clippy::unwrap_used)]
use super::*;
use crate::record::{self, Message};
use crate::text::deep::stack_for;

fn shared() -> Arc<Shared> {
    Arc::new(Shared::new(&[("bos_token".to_owned(), "<s>".to_owned())].into()))
}

fn chat(open: bool) -> Chat {
    let messages = [Message::new("user", " <a> & 'b' \"é\" "), Message::new("assistant", "c")];
    Chat { turns: turns(&messages), tools: Value::from(()), open }
}

fn render_within(source: &str, limits: TemplateLimits) -> Result<String, DataError> {
    let template = ChatTemplate::new(source, limits);
    on_deep_stack(stack_for(limits.work), || template.render(&chat(true), &shared()))?
}

fn render(source: &str) -> Result<String, DataError> {
    render_within(source, TemplateLimits::default())
}

fn error_of(source: &str) -> String {
    render(source).unwrap_err().to_string()
}

#[test]
fn python_methods_slices_and_specials() {
    let text =
        render("{{ bos_token }}{% for m in messages[1:] %}{{ m.role.upper() }}{{ m['content'].strip() }}{% endfor %}");
    assert_eq!(text.unwrap(), "<s>ASSISTANTc");
    assert_eq!(render("{{ messages[0].content.strip() }}").unwrap(), "<a> & 'b' \"é\"");
    assert_eq!(render("{% if tools is none and documents is none %}x{% endif %}{{ nowhere }}").unwrap(), "x");
    assert_eq!(render("{{ messages[0].get('name', 'none') }}{{ 'name' in messages[0] }}").unwrap(), "noneFalse");
    assert_eq!(render("{{ messages[-1]['content'] }}{{ messages | length }}{{ add_generation_prompt }}").unwrap(), "c2True");
}

#[test]
fn tools_and_further_keys() {
    let parse = |json: &str| serde_json::from_str(json).unwrap();
    let call: Message = serde_json::from_str(
        r#"{"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": {"z": 1, "a": [2.5, null]}}}]}"#,
    )
    .unwrap();
    let tool: record::Value = parse(r#"{"type": "function", "function": {"name": "f", "strict": true}}"#);
    let chat = Chat { turns: turns(&[call]), tools: tools(&[tool]), open: false };
    let source = "{{ tools | tojson }}{% for c in messages[0].tool_calls %}{{ c.function.arguments | tojson }}{% endfor %}";
    let text = ChatTemplate::new(source, TemplateLimits::default()).render(&chat, &shared()).unwrap();
    let expected = r#"[{"type": "function", "function": {"name": "f", "strict": true}}]{"z": 1, "a": [2.5, null]}"#;
    assert_eq!(text, expected);
    let error = ChatTemplate::new("x", TemplateLimits::default()).render(&chat, &shared()).unwrap_err().to_string();
    assert!(error.contains("does not show tools"), "{error}");
    let none = Chat { tools: tools(&[]), ..chat };
    assert_eq!(ChatTemplate::new(source, TemplateLimits::default()).render(&none, &shared()).unwrap()[..4], *"null");
}

#[test]
fn white_space_is_pythons() {
    let text =
        r"{% set t = '\u001c \u00a0a\u0085\u001f' %}[{{ t | trim }}|{{ t.strip() }}|{{ t.lstrip() }}|{{ t.rstrip() }}]";
    let text = render(text).unwrap();
    assert_eq!(text, "[a|a|a\u{85}\u{1f}|\u{1c} \u{a0}a]");
    assert_eq!(render("{{ 'xaxbx' | trim('x') }}{{ 'xax'.strip('x') }}{{ 3 | trim }}").unwrap(), "axba3");
}

#[test]
fn blocks_are_trimmed_as_transformers_does() {
    let text =
        render("{% for m in messages %}\n  {%- if loop.first %}\n    {{ m.role }}\n  {% endif %}\n{% endfor %}\nend\n");
    assert_eq!(text.unwrap(), "    user\nend");
}

#[test]
fn loop_controls_work() {
    let text = render("{% for m in messages %}{% if loop.last %}{% continue %}{% endif %}{{ m.role }}{% endfor %}");
    assert_eq!(text.unwrap(), "user");
}

#[test]
fn json_is_pythons() {
    let text = render("{{ {'a': [1, true, none], 'b': messages[0].content}|tojson }}").unwrap();
    assert_eq!(text, r#"{"a": [1, true, null], "b": " <a> & 'b' \"é\" "}"#);
    let text = render("{{ {'b': [], 'a': [1, 2.5]}|tojson(indent=2) }}").unwrap();
    assert_eq!(text, "{\n  \"b\": [],\n  \"a\": [\n    1,\n    2.5\n  ]\n}");
    assert!(render("{{ raise_exception|tojson }}").is_err());
}

#[test]
fn errors_tell_the_cause() {
    let error = error_of("{{ raise_exception('roles must alternate') }}");
    assert!(error.contains("roles must alternate"), "{error}");
    let error = error_of("{% if %}");
    assert!(error.contains("does not compile"), "{error}");
    let error = error_of("{{ strftime_now('%d') }}");
    assert!(error.contains("strftime_now"), "{error}");
}

#[test]
fn endless_work_ends() {
    let cases = [
        "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
        "{% set ns = namespace(t='x') %}{% for i in range(99999) %}{% set ns.t = ns.t + ns.t %}{% endfor %}{{ ns.t }}",
        "{{ ('x' * 1000000000) | length }}",
        "{{ 'x'.replace('x', 'y' * 1000000) .replace('y', 'z' * 1000000) | length }}",
        "{{ range(1000000000) | list | length }}",
        "{% for i in range(99999) %}{{ messages | tojson | length }}{{ range(9999) | list | tojson | length }}{% endfor %}",
    ];
    for source in cases {
        let start = std::time::Instant::now();
        let error = render(source).unwrap_err().to_string();
        assert!(error.contains("its limit") || error.contains("range has too many elements"), "{source}: {error}");
        // generous: what is meant is that it ends at all
        assert!(start.elapsed().as_secs() < 60, "{source}");
    }
}

#[test]
fn long_texts_end() {
    let limits = TemplateLimits { output: 1000, ..TemplateLimits::default() };
    assert_eq!(render_within("{% for i in range(1000) %}x{% endfor %}", limits).unwrap().len(), 1000);
    let error = render_within("{% for i in range(1001) %}x{% endfor %}", limits).unwrap_err().to_string();
    assert!(error.contains("writes more than 1000 bytes"), "{error}");
    let error = error_of(&"x".repeat(LONGEST_SOURCE + 1));
    assert!(error.contains("at most 1048576 are read"), "{error}");
}

#[test]
fn depth_ends() {
    let repeated = |text: &str, count: usize| format!("{{{{ {} }}}}", text.repeat(count));
    let sources = [
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}".to_owned(),
        "{% macro f(n) %}{% for i in [1] %}{{ f(n) | trim }}{% endfor %}{% endmacro %}{{ f(1) }}".to_owned(),
        "{%- for m in messages recursive %}{{ loop(messages) }}{% endfor %}".to_owned(),
        "{% if true %}".repeat(10_000),
        repeated("(", 10_000),
        repeated("[", 10_000),
    ];
    for source in sources {
        let error = error_of(&source);
        assert!(error.contains("recursion limit"), "{error}");
    }
    // the deepest expressions that are read at all
    for (first, next, last) in [
        ("", "not ", "1"),
        ("", "-", "1"),
        ("x", ".a", ""),
        ("1", "+1", ""),
        ("1", "|abs", ""),
        ("x", "()", ""),
        ("1", "~1", ""),
    ] {
        let count = (LONGEST_CONSTRUCT - 10) / next.len();
        let _ = render(&format!("{{{{{first}{}{last}}}}}", next.repeat(count)));
        let error = error_of(&format!("{{{{{first}{}{last}}}}}", next.repeat(count + 10)));
        assert!(error.contains("an expression or tag of"), "{error}");
    }
    // a long text is no deep expression
    assert_eq!(render(&format!("{{{{ '{}' | length }}}}", "é\\'{".repeat(10_000))).unwrap(), "30000");
}

#[test]
fn values_nested_as_deep_as_work_allows() {
    let nested = |then: &str| {
        let list = format!("{}ns.v{}", "[".repeat(40), "]".repeat(40));
        format!("{{% set ns = namespace(v=[]) %}}{{% for i in range(3000) %}}{{% set ns.v = {list} %}}{{% endfor %}}{then}")
    };
    assert_eq!(render(&nested("ok")).unwrap(), "ok");
    for then in ["{{ ns.v }}", "{{ ns.v == [ns.v] }}", "{{ [ns.v, ns.v] | sort }}", "{{ ns.v | tojson }}", "{{ {}[ns.v] }}"]
    {
        let _ = render(&nested(then));
    }
}

#[test]
fn generation_tags_do_not_change_the_text() {
    let source = "{% for m in messages %}\n{{ m.role }}:\n  {%- generation %}\n  {{- m.content -}}\n  {% endgeneration %}\n.\n{% endfor %}";
    let template = ChatTemplate::new(source, TemplateLimits::default());
    assert!(template.has_generation_tags());
    let marked = template.render_marked(&chat(false), &shared()).unwrap();
    assert_eq!(marked.text, template.render(&chat(false), &shared()).unwrap());
    let written: Vec<&str> = marked.written.iter().map(|range| &marked.text[range.clone()]).collect();
    assert_eq!(written, [" <a> & 'b' \"é\" ", "c"]);
    // the loop and variables around are seen within, and variables set within stay there
    let source = "{% set x = 1 %}{% for m in messages %}{% generation %}{% set y = loop.index %}{% set x = y %}{{ x }}{% endgeneration %}\
                  {{ x }}{% endfor %}";
    let template = ChatTemplate::new(source, TemplateLimits::default());
    assert_eq!(template.render(&chat(false), &shared()).unwrap(), "1121");
    assert_eq!(template.render_marked(&chat(false), &shared()).unwrap().written, [0..1, 2..3]);
}

#[test]
fn tags_that_a_filter_sees_are_refused() {
    let source = "{% set t %}{% generation %} a {% endgeneration %}{% endset %}{{ t | trim }}";
    let error = ChatTemplate::new(source, TemplateLimits::default()).render_marked(&chat(false), &shared()).unwrap_err();
    assert!(error.to_string().contains("outside of filters"), "{error}");
    let none = ChatTemplate::new("x", TemplateLimits::default()).render_marked(&chat(false), &shared()).unwrap_err();
    assert!(none.to_string().contains("has no {% generation %} tags"), "{none}");
}
