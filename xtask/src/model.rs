//! `cargo xtask model`: model folders without Python.
use crate::cli::{ModelCommand, ModelInitArgs, Shape};
use crate::error::XtaskError;
use serde_json::json;
use std::path::Path;
use tropism_data::text::Tokenizer;
use tropism_lm::{Config, Decoder, FolderWriter, Loaded, WeightDtype};

/// Carries out `cargo xtask model …`.
///
/// # Errors
/// Whatever keeps the folder from being written.
pub fn command(command: &ModelCommand) -> Result<(), XtaskError> {
    match command {
        ModelCommand::Init(args) => init(args),
    }
}

/// Sizes of a shape: vocabulary, hidden, feed-forward, layers, heads, key/value heads.
pub(crate) fn sizes(shape: Shape) -> [usize; 6] {
    match shape {
        Shape::Smollm2_135m => [49152, 576, 1536, 30, 9, 3],
        Shape::Smollm2_360m => [49152, 960, 2560, 32, 15, 5],
        Shape::Tiny => [8192, 256, 768, 6, 4, 2],
    }
}

/// The text of a `config.json` of this shape, as SmolLM2's are.
fn config_json(shape: Shape, tokenizer: &Tokenizer) -> String {
    let [vocab, hidden, ff, layers, heads, kv_heads] = sizes(shape);
    json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
        "attention_bias": false, "attention_dropout": 0.0, "mlp_bias": false,
        "vocab_size": vocab, "hidden_size": hidden, "intermediate_size": ff,
        "num_hidden_layers": layers, "num_attention_heads": heads, "num_key_value_heads": kv_heads,
        "head_dim": hidden / heads, "max_position_embeddings": 2048, "rms_norm_eps": 1e-5, "initializer_range": 0.02,
        "rope_parameters": {"rope_type": "default", "rope_theta": 100_000.0}, "rope_theta": 100_000.0,
        "tie_word_embeddings": true, "dtype": "float32", "use_cache": true,
        "bos_token_id": tokenizer.bos_id(), "eos_token_id": tokenizer.eos_id(), "pad_token_id": tokenizer.pad_id(),
    })
    .to_string()
}

fn init(args: &ModelInitArgs) -> Result<(), XtaskError> {
    if args.out.exists() {
        let problem = format!("{} exists already", args.out.display());
        return Err(XtaskError::usage(problem, "give another --out, or remove the folder"));
    }
    let tokenizer = Tokenizer::load(&args.tokenizer)?;
    let (found, most) = (tokenizer.vocab_size(), sizes(args.shape)[0]);
    if found > most {
        let problem = format!("the tokenizer has {found} entries, the shape {most}");
        return Err(XtaskError::usage(problem, "take a larger --shape or a smaller tokenizer"));
    }
    let config = Config::parse(&config_json(args.shape, &tokenizer), Path::new("config.json of the shape"))?;
    let model: Decoder<Loaded, f32> = Decoder::random(Loaded::new(config), args.seed)?;
    let writer = FolderWriter::new(&args.out)?;
    model.save(writer.path(), WeightDtype::F32)?;
    tropism_lm::copy_tokenizer_files(&args.tokenizer, writer.path())?;
    tokenizer.save(writer.path())?;
    writer.finish()?;
    println!("{}: {:.1} million parameters", args.out.display(), model.parameters() as f64 / 1e6);
    Ok(())
}
