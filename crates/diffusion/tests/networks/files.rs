//! Networks in files.
use crate::common::{ALL, condition, normals, stirred, times};
use tropism_diffusion::denoiser::{Denoiser, Network, load, save};

#[test]
fn a_file_gives_the_same_network() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    for config in ALL {
        let model = stirred::<f64>(&config, 8);
        save(&model, &path).unwrap();
        let back: Network<f64> = load(&path).unwrap();
        assert_eq!(back.config(), config);
        let of = |m: &Network<f64>| m.predict(normals(1, 2, m.width()), &times(2), &condition(2)).unwrap().as_vec();
        assert_eq!(of(&model), of(&back));
        let single: Network<f32> = load(&path).unwrap();
        assert_eq!(single.parameters(), model.parameters());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}

#[test]
fn broken_files_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let refused = || load::<f32>(&path).unwrap_err().to_string();
    assert!(refused().contains("model.safetensors"));
    std::fs::write(&path, b"no tensors").unwrap();
    assert!(refused().contains("damaged"), "{}", refused());
    save(&stirred::<f32>(&ALL[0], 1), &path).unwrap();
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 4]).unwrap();
    assert!(refused().contains("damaged"), "{}", refused());
    let text = |from: &str, to: &str| {
        assert_eq!(from.len(), to.len());
        let at = whole.windows(from.len()).position(|w| w == from.as_bytes()).unwrap();
        let mut bytes = whole.clone();
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        std::fs::write(&path, bytes).unwrap();
    };
    text("\"users.weight\"", "\"usors.weight\"");
    assert!(refused().contains("`users.weight` is missing"), "{}", refused());
    text("\\\"hidden\\\":5", "\\\"hidden\\\":6");
    assert!(refused().contains("has shape"), "{}", refused());
    let mut bytes = whole.clone();
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(&path, bytes).unwrap();
    assert!(refused().contains("NaN"), "{}", refused());
}
