//! The keys of `config.json`, architecture by architecture: read, refused, let through.
#![allow(clippy::unwrap_used)]
mod common;
use common::*;
use serde_json::{Value, json};

#[test]
fn layers_slide_by_rule_or_by_list() {
    let windows = |name: &str, changes: &[(&str, Value)]| -> Vec<Option<usize>> {
        made(name, changes).layers.iter().map(|l| l.attention.window).collect()
    };
    let on = [("use_sliding_window", json!(true)), ("sliding_window", json!(5)), ("layer_types", Value::Null)];
    for name in ["qwen2", "qwen3"] {
        assert_eq!(windows(name, &[]), [None, None]);
        assert_eq!(windows(name, &on), [None, None], "max_window_layers is 28");
        let upper = [on.as_slice(), &[("max_window_layers", json!(1))]].concat();
        assert_eq!(windows(name, &upper), [None, Some(5)]);
        let listed = [on.as_slice(), &[("layer_types", json!(["sliding_attention", "full_attention"]))]].concat();
        assert_eq!(windows(name, &listed), [Some(5), None]);
    }
    let old = [("layer_types", Value::Null), ("num_hidden_layers", json!(4))];
    assert_eq!(windows("gemma2", &old), [Some(8), None, Some(8), None]);
    assert_eq!(windows("gemma2", &[("layer_types", json!(["full_attention", "sliding_attention"]))]), [None, Some(8)]);
}

#[test]
fn scales_of_gpt2() {
    let scales =
        |changes: &[(&str, Value)]| made("gpt2", changes).layers.iter().map(|l| l.attention.scale).collect::<Vec<_>>();
    let plain = 12f64.sqrt().recip();
    assert_eq!(scales(&[]), [plain, plain]);
    assert_eq!(scales(&[("scale_attn_weights", false.into())]), [1.0, 1.0]);
    assert_eq!(scales(&[("scale_attn_by_inverse_layer_idx", true.into())]), [plain, plain / 2.0]);
}

#[test]
fn settings_that_change_the_computation_are_refused_by_name() {
    let refused = |name: &str, key: &str, value: Value| {
        let mut config = config(name);
        config[key] = value;
        let e = parse(&config).unwrap_err();
        assert!(e.contains("config.json") && e.contains(&format!("`{key}")), "{name}, {key}: {e}");
    };
    for name in ALL {
        for (key, value) in [
            ("quantization_config", json!({"bits": 4})),
            ("is_encoder_decoder", true.into()),
            ("embedding_multiplier", 12.0.into()),
            ("num_local_experts", 8.into()),
            ("position_embedding_type", "alibi".into()),
            ("clip_qkv", 8.0.into()),
            ("tie_word_embeddings", "yes".into()),
            ("vocab_size", 0.into()),
            ("model_type", "mamba".into()),
        ] {
            refused(name, key, value);
        }
        for key in
            if name == "gpt2" { ["n_embd", "n_layer", "n_head"] } else { ["hidden_size", "intermediate_size", "head_dim"] }
        {
            refused(name, key, 0.into());
        }
    }
    refused("llama_tied", "hidden_act", "relu".into());
    refused("llama_tied", "sliding_window", 8.into());
    refused("llama_tied", "partial_rotary_factor", 0.5.into());
    refused("llama_tied", "layer_types", json!(["sliding_attention", "full_attention"]));
    refused("qwen2", "layer_types", json!(["full_attention", "chunked_attention"]));
    refused("qwen2", "layer_types", json!(["full_attention"]));
    refused("qwen2", "layer_types", json!(["full_attention", "sliding_attention"]));
    refused("qwen2", "use_mrope", true.into());
    refused("qwen3", "attention_bias", 3.into());
    refused("qwen3", "attn_output_gate", true.into());
    refused("gemma", "use_bidirectional_attention", true.into());
    refused("gemma", "final_logit_softcapping", 30.0.into());
    refused("gemma2", "sliding_window", 0.into());
    refused("gemma2", "query_pre_attn_scalar", 0.into());
    refused("gemma2", "attn_logit_softcapping", (-1.0).into());
    refused("gemma2", "hidden_activation", "relu".into());
    refused("gpt2", "add_cross_attention", true.into());
    refused("gpt2", "activation_function", "tanh".into());
    refused("gpt2", "n_head", 5.into());
    refused("gpt2", "rope_theta", 1e4.into());
    let mut odd = config("llama_tied");
    odd["model_type"] = "mistral".into();
    odd["sliding_window"] = 0.into();
    assert!(parse(&odd).unwrap_err().contains("`sliding_window` is 0"));
    odd.as_object_mut().unwrap().remove("model_type");
    assert!(parse(&odd).unwrap_err().contains("`model_type` is missing; supported are llama, mistral"));
}

#[test]
fn settings_that_do_not_change_it_are_let_through() {
    for name in ALL {
        let mut config = config(name);
        for (key, value) in [
            ("_name_or_path", json!("somewhere/attention-model")),
            ("_attn_implementation", json!("eager")),
            ("attn_implementation", json!("flash_attention_2")),
            ("use_flash_attn", json!(true)),
            ("attention_dropout", json!(0.1)),
            ("auto_map", json!({"AutoModelForCausalLM": "modeling.Model"})),
            ("unsloth_fixed", json!(true)),
            ("rope_interleaved", json!(false)),
            ("quantization_config", Value::Null),
            ("partial_rotary_factor", json!(1.0)),
            ("pruned_heads", json!({})),
            ("task_specific_params", json!({"text-generation": {"max_length": 50}})),
            ("reorder_and_upcast_attn", json!(true)),
            ("chunk_size_feed_forward", json!(0)),
            ("anything_new", json!("value")),
        ] {
            config[key] = value;
        }
        parse(&config).unwrap();
    }
}

#[test]
fn gemmas_activation_is_the_tanh_form_unless_said_otherwise() {
    let found = |name: &str, act: Value, activation: Value| {
        made(name, &[("hidden_act", act), ("hidden_activation", activation)]).layers[0].ff.activation
    };
    use tropism_ops::Activation::*;
    assert_eq!(found("gemma", "gelu".into(), Value::Null), GeluTanh);
    assert_eq!(found("gemma", Value::Null, Value::Null), GeluTanh);
    assert_eq!(found("gemma", "gelu_pytorch_tanh".into(), "gelu".into()), GeluErf);
    assert_eq!(found("gemma2", "gelu".into(), Value::Null), GeluTanh);
    assert_eq!(found("gemma2", Value::Null, "gelu".into()), GeluErf);
}

#[test]
fn sizes_that_the_file_leaves_out() {
    let without = |name: &str, changes: &[(&str, Value)]| {
        let mut config = config(name);
        for (key, value) in changes {
            config[*key] = value.clone();
        }
        let keys = ["num_key_value_heads", "head_dim", "max_position_embeddings", "n_positions"];
        keys.iter()
            .filter(|k| !changes.iter().any(|c| c.0 == **k))
            .for_each(|k| drop(config.as_object_mut().unwrap().remove(*k)));
        let s = parse(&config).unwrap().sizes;
        (s.kv_heads, s.head_dim, s.positions)
    };
    let many = [("num_attention_heads", json!(32)), ("hidden_size", json!(128))];
    assert_eq!(without("llama_tied", &many), (32, 4, 2048));
    assert_eq!(without("qwen2", &many), (32, 4, 32768));
    assert_eq!(without("qwen3", &many), (32, 128, 32768));
    assert_eq!(without("gemma", &many), (16, 256, 8192));
    assert_eq!(without("gemma2", &many), (4, 256, 8192));
    assert_eq!(without("gpt2", &[]), (4, 12, 1024));
    // null is not the same as left out
    let null = [many.as_slice(), &[("num_key_value_heads", Value::Null), ("head_dim", Value::Null)]].concat();
    assert_eq!(without("gemma", &null), (32, 4, 8192));
}
