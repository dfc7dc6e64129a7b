//! The models that a stage holds, and what they take.
use super::prepare::Model;
use crate::config::Experiment;
use crate::error::XtaskError;
use std::collections::BTreeMap;
use tropism_lm::Loaded;
use tropism_trainer::{AnyStage, Precision, RewardModel};

/// Numbers that one of a stage's models takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    /// what it is to the stage
    pub(super) what: String,
    /// while the stage trains
    pub(super) training: usize,
    /// at its end, when the result is saved
    pub(super) end: usize,
}

/// What a stage's models are made of.
#[derive(Clone, Copy)]
struct Sizes {
    /// weights of a language model
    stored: usize,
    /// those of them, or of an adapter, that the stage trains
    trained: usize,
    /// weights of an output projection
    projection: usize,
    hidden: usize,
    /// weight, gradient and moments of a number that is trained
    learns: usize,
}

/// All that a stage of `model` holds.
///
/// In training: the weights at the start of the run and of the reference, which the policy shares but for what it trains; that
/// part with its gradients and two moments (one, where they are bf16); and the models beside these. At the end, when those
/// are gone: the start, the reference, the result (an adapter merged) and its copy on the way to a file.
pub(super) fn held(config: &Experiment, stage: &AnyStage, model: &Model) -> Result<Vec<Held>, XtaskError> {
    let sizes = &model.config().sizes;
    let learns = 2 + if stage.optimizer_state() == Precision::Bf16 { 1 } else { 2 };
    let trained = stage.adapt(model.clone(), 0)?.parameters();
    let (projection, hidden) = (sizes.vocab * sizes.hidden, sizes.hidden);
    let sizes = Sizes { stored: model.parameters(), trained, projection, hidden, learns };
    let folder = |path: &std::path::Path| -> Result<usize, XtaskError> {
        Ok(RewardModel::<Loaded, f32>::load(path)?.model.parameters())
    };
    let mut all = sizes.plain();
    all.extend(sizes.beside(stage));
    all.extend(sizes.reward_models(config, stage, folder)?);
    Ok(all)
}

impl Sizes {
    /// What every stage holds.
    fn plain(&self) -> Vec<Held> {
        let &Sizes { stored, trained, learns, .. } = self;
        vec![
            Held { what: "the model at the start of the run".into(), training: stored, end: stored },
            Held { what: "the reference".into(), training: stored, end: stored },
            Held { what: learning("the policy"), training: learns * trained, end: 2 * stored + trained },
        ]
    }

    /// Models and heads that belong to some kinds of stages.
    fn beside(&self, stage: &AnyStage) -> Vec<Held> {
        let &Sizes { stored, trained, projection, hidden, learns } = self;
        let while_training = |what: String, training: usize| Held { what, training, end: 0 };
        // the model at the start of the run is there already, the others are read from their folders
        let others = stage.others();
        let read = others.iter().filter(|(_, name)| *name != "model");
        let mut all: Vec<Held> = read.map(|(key, name)| while_training(format!("`{name}` as {key}"), stored)).collect();
        match stage {
            AnyStage::PolicyGradient(s) => {
                if s.objective.process_rewards.is_some() {
                    all.push(while_training(learning("the process reward model"), learns * trained));
                }
                if s.objective.has_critic() {
                    all.push(while_training(learning("the critic's head"), learns * (hidden + 1)));
                }
            }
            AnyStage::OnlinePreference(s) | AnyStage::RejectionSampling(s) if s.objective.heads.is_some() => {
                // the policy's own projection is their mix
                let heads = s.objective.aspects().count();
                let training = projection + learns * heads.saturating_sub(1) * projection;
                let what = learning(&format!("{heads} heads in place of one"));
                all.push(Held { what, training, end: heads * projection });
            }
            AnyStage::RewardModel(s) => {
                let weights = s.objective.heads.len() * hidden;
                all.push(Held { what: learning("the heads"), training: learns * weights, end: 2 * weights });
            }
            _ => {}
        }
        all
    }

    /// The reward models that score completions, each once; `folder` says how many weights are in a folder.
    fn reward_models(
        &self,
        config: &Experiment,
        stage: &AnyStage,
        folder: impl Fn(&std::path::Path) -> Result<usize, XtaskError>,
    ) -> Result<Vec<Held>, XtaskError> {
        let rewards = stage.sampling().into_iter().flat_map(|(_, all)| all.values());
        let wanted: BTreeMap<String, _> = rewards.filter_map(|r| r.function.model()).map(|m| (m.key(), m)).collect();
        let mut all = vec![];
        for (key, reward) in wanted {
            let training = match &reward.folder {
                Some(path) => folder(path)?,
                None => self.stored + self.hidden * heads_of(config, reward.stage.as_deref()),
            };
            all.push(Held { what: format!("the reward model of {key}"), training, end: 0 });
        }
        Ok(all)
    }
}

/// Heads of the reward model that a stage makes.
fn heads_of(config: &Experiment, stage: Option<&str>) -> usize {
    let found = config.stages.iter().find(|s| Some(s.name()) == stage);
    found.map_or(0, |s| if let AnyStage::RewardModel(s) = s { s.objective.heads.len() } else { 0 })
}

fn learning(what: &str) -> String {
    format!("{what} with gradients and moments")
}

/// The more of what training and its end take.
pub(super) fn most(all: &[Held]) -> usize {
    let sum = |of: fn(&Held) -> usize| all.iter().map(of).sum::<usize>();
    sum(|h| h.training).max(sum(|h| h.end))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SIZES: Sizes = Sizes { stored: 1000, trained: 1000, projection: 80, hidden: 8, learns: 4 };

    fn stage(toml: &str) -> AnyStage {
        toml::from_str(&format!("name = 's'\nlearning_rate = 1e-3\n{toml}")).unwrap()
    }

    fn figures(all: &[Held]) -> Vec<(&str, usize, usize)> {
        all.iter().map(|h| (h.what.as_str(), h.training, h.end)).collect()
    }

    #[test]
    fn untrained_weights_have_neither_gradients_nor_moments() {
        assert_eq!(most(&SIZES.plain()), 6000);
        assert_eq!(most(&Sizes { learns: 3, ..SIZES }.plain()), 5000);
        // an adapter, or a few tensors: the end of the stage is the widest place
        assert_eq!(most(&Sizes { trained: 10, ..SIZES }.plain()), 4010);
    }

    #[test]
    fn guides_and_teachers_are_weights_and_nothing_else() {
        let rto = stage(
            "[policy_gradient]\nloss = { method = 'ppo' }\ntoken_rewards = { model = 'dpo' }\n\
             rewards.correct = { function = { type = 'correct' } }",
        );
        let critic = "the critic's head with gradients and moments";
        assert_eq!(figures(&SIZES.beside(&rto)), [("`dpo` as token_rewards.model", 1000, 0), (critic, 4 * 9, 0)]);
        let distil = stage("distil = { favoured = 'dpo', other = 'reverse' }");
        assert_eq!(figures(&SIZES.beside(&distil)), [("`dpo` as favoured", 1000, 0), ("`reverse` as other", 1000, 0)]);
        // the run's own model is there already
        let distil = stage("distil = { favoured = 'dpo', other = 'model' }");
        assert_eq!(figures(&SIZES.beside(&distil)), [("`dpo` as favoured", 1000, 0)]);
        assert!(SIZES.beside(&stage("objective = { method = 'dpo' }")).is_empty());
    }

    #[test]
    fn what_learns_beside_the_policy_has_gradients_and_moments() {
        let oprl = stage(
            "[policy_gradient]\nloss = { method = 'grpo' }\nprocess_rewards = {}\n\
             rewards.correct = { function = { type = 'correct' } }",
        );
        let what = "the process reward model with gradients and moments";
        assert_eq!(figures(&SIZES.beside(&oprl)), [(what, 4000, 0)]);
        let few = Sizes { trained: 10, learns: 3, ..SIZES };
        assert_eq!(figures(&few.beside(&oprl)), [(what, 30, 0)]);
        let heads = stage(
            "[online_preference]\nobjective = { method = 'mah_dpo', base = { method = 'dpo' } }\nheads = {}\n\
             rewards.a = { function = { type = 'correct' } }\nrewards.b = { function = { type = 'correct' } }\n\
             rewards.unread = { weight = 0.0, function = { type = 'correct' } }",
        );
        let what = "2 heads in place of one with gradients and moments";
        assert_eq!(figures(&SIZES.beside(&heads)), [(what, 80 + 4 * 80, 160)]);
        let rm = stage("reward_model = { heads = { a = {}, b = {}, c = {} } }");
        assert_eq!(figures(&SIZES.beside(&rm)), [("the heads with gradients and moments", 4 * 24, 48)]);
    }

    #[test]
    fn a_reward_model_counts_once_with_its_heads() {
        let text = "name = 'x'\n[data]\n[model.new]\nvocab_size = 9\nhidden_size = 8\nintermediate_size = 8\n\
             num_hidden_layers = 1\nnum_attention_heads = 1\nnum_key_value_heads = 1\nmax_position_embeddings = 9\n[world]\n\
             [[stages]]\nname = 'rm'\nlearning_rate = 1e-3\nreward_model = { heads = { a = {}, b = {} } }\n\
             [[stages]]\nname = 'grpo'\nlearning_rate = 1e-3\n[stages.policy_gradient]\nloss = { method = 'grpo' }\n\
             rewards.a = { function = { type = 'model', stage = 'rm', head = 'a' } }\n\
             rewards.b = { function = { type = 'model', stage = 'rm', head = 'b' } }\n\
             rewards.c = { function = { type = 'model', folder = 'far' } }";
        let config = Experiment::parse("test", text, &[]).unwrap();
        let found = SIZES.reward_models(&config, &config.stages[1], |path| {
            assert_eq!(path, std::path::Path::new("far"));
            Ok(77)
        });
        let want = [("the reward model of folder far", 77, 0), ("the reward model of stage rm", 1016, 0)];
        assert_eq!(figures(&found.unwrap()), want);
    }
}
