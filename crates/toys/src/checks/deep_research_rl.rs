//! Agents that search: credit for turns and steps, the action mask, and a curriculum.

use tropism_policy_gradient::{
    Bnpo, GroupNormalized, Groups, Reinforce, RewardTable, TurnMixture, bnpo, group_normalized, reinforce, search_steps,
    turn_mixture,
};

use crate::worlds::lookup::{Episode, Lookup, STATES, TOKENS};
use crate::worlds::{Completions, Descent, Policy, Stream, gradient};
use crate::{Chance, Figures, Relation, Toy, ToyError};

const GROUP: usize = 8;
const BATCH: usize = 16 * GROUP;
const UPDATES: usize = 300;
const RATE: f64 = 0.03;
const TEST_EPISODES: usize = 1000;
/// What StepSearch pays for a step.
const STEP: f64 = 0.6;

/// Twenty entities, two relations, a table that answers queries about them, and ten queries that find nothing. A question
/// names an entity and two relations; it takes two searches, and the answer is what the second finds. The agent sees how
/// many searches it made and of what kind the last was, and writes one of eight tokens (four queries about what is in hand,
/// any other query, three answers, of which the last is a guess that is right once in 18 times); results are three tokens of
/// the table's. Its logits are a table with parts shared between states and between questions of one and two hops, so that
/// what it learns of other tokens matters. A beginner prefers what is in hand, by `e⁴` ("apt") or `e²` ("inapt", for whom
/// success by searching is rare). At most five searches, 300 updates with Adam 0.03 on 16 groups of eight, token means, no
/// KL.
///
/// "Outcome": group-normalised success. "Turn": MT-GRPO, whose turn reward is that the first search found a document of the
/// path. "Step": 0.6 times gain minus redundancy at each search and success at the answer, whitened sums of what follows;
/// "gain" is without redundancy. "No mask" trains "outcome" on results as well. "Curriculum" is "outcome" on questions of one
/// hop first, until five batches have a mean success of 0.8; these episodes count. "Episodes" until five batches of two-hop
/// questions have that success (all, 38400, where they never do), "repeated" the share of queries asked before in the
/// episode, over all of training; the rest is of 1000 episodes afterwards. OPRL, which the sheet compares as well, has a toy
/// of its own.
pub(super) const TOY: Toy = Toy {
    row: "deep-research-rl",
    title: "Reinforcement Learning Foundations for Deep Research Systems: A Survey",
    arxiv: "2509.06733",
    claim: "Rewards for turns and steps teach searching in fewer episodes than the outcome alone; a price on redundancy \
            lowers repeated queries; without the action mask, or without easier questions first, learning is slower.",
    chance: Chance::Seeds(20),
    relations: &[
        Relation::above("episodes(outcome, apt)", "episodes(turn, apt)"),
        Relation::above("episodes(outcome, apt)", "episodes(step, apt)"),
        Relation::above("repeated(gain, apt)", "repeated(step, apt)"),
        Relation::above("episodes(no mask, apt)", "episodes(outcome, apt)"),
        Relation::above("episodes(outcome, apt)", "episodes(curriculum, apt)"),
        Relation::above("episodes(outcome, inapt)", "episodes(turn, inapt)"),
        Relation::above("episodes(outcome, inapt)", "episodes(step, inapt)"),
        Relation::above("repeated(gain, inapt)", "repeated(step, inapt)"),
        Relation::above("episodes(no mask, inapt)", "episodes(outcome, inapt)"),
        Relation::above("episodes(outcome, inapt)", "episodes(curriculum, inapt)"),
    ],
    run,
};

fn run(seed: u64) -> Result<Figures, ToyError> {
    let mut figures = Figures::default();
    let methods = [
        ("outcome", Credit::Outcome, false),
        ("turn", Credit::Turn, false),
        ("step", Credit::Step { redundancy: true }, false),
        ("gain", Credit::Step { redundancy: false }, false),
        ("no mask", Credit::Unmasked, false),
        ("curriculum", Credit::Outcome, true),
    ];
    for (start, aptness) in [("apt", 4.0), ("inapt", 2.0)] {
        let agent = Agent::new(aptness, seed)?;
        for (name, credit, staged) in methods {
            let mut random = Stream::new(seed, 1);
            let trained = agent.train(credit, staged, &mut random)?;
            agent.report(&format!("{name}, {start}"), &trained, &mut random, &mut figures)?;
        }
    }
    Ok(figures)
}

/// What the tokens are rewarded for.
#[derive(Clone, Copy)]
enum Credit {
    Outcome,
    Turn,
    Step { redundancy: bool },
    Unmasked,
}

impl Credit {
    /// The rows of a batch and the advantages of their tokens.
    fn advantages(self, episodes: &[Episode]) -> Result<(Completions, Vec<f64>), ToyError> {
        let rows: Vec<Vec<(usize, bool)>> = episodes.iter().map(|e| self.counted(e)).collect();
        let (rows, groups) = (Completions::new(&rows), Groups::of_size(episodes.len(), GROUP)?);
        let outcome: Vec<f64> = episodes.iter().map(|e| f64::from(u8::from(e.right))).collect();
        let (mask, columns) = (rows.mask(), rows.columns());
        let advantages = match self {
            Credit::Outcome | Credit::Unmasked => {
                group_normalized(&RewardTable::single(&outcome)?, &groups, &GroupNormalized::default())?.values
            }
            Credit::Turn => {
                let turn = episodes.iter().map(first_found).collect::<Result<Vec<_>, _>>()?;
                let first: Vec<Option<usize>> = episodes.iter().map(|e| e.first_result).collect();
                turn_mixture(&turn, &outcome, &first, mask, columns, &groups, &TurnMixture::default())?
            }
            Credit::Step { redundancy } => {
                let rewards = step_rewards(episodes, columns, redundancy)?;
                reinforce(&rewards, mask, columns, &Reinforce::default())?
            }
        };
        Ok((rows, advantages))
    }

    fn counted(self, episode: &Episode) -> Vec<(usize, bool)> {
        let all = matches!(self, Credit::Unmasked);
        episode.tokens.iter().map(|&(cell, written)| (cell, all || written)).collect()
    }
}

/// Rewards of searches and answers, row by row.
fn step_rewards(episodes: &[Episode], columns: usize, redundancy: bool) -> Result<Vec<f64>, ToyError> {
    let mut rewards = vec![0.0; episodes.len() * columns];
    for (episode, row) in episodes.iter().zip(rewards.chunks_mut(columns)) {
        for (at, step) in episode.searches.iter().zip(search_steps(&episode.rounds, episode.gold)?) {
            row[*at] = STEP * if redundancy { step.reward() } else { step.gain };
        }
        // only an episode that ends in an answer can be right
        if episode.right {
            row[episode.tokens.len() - 1] = 1.0;
        }
    }
    Ok(rewards)
}

/// 1 where the first search found a document of the path.
fn first_found(episode: &Episode) -> Result<f64, ToyError> {
    let steps = search_steps(&episode.rounds, episode.gold)?;
    Ok(f64::from(u8::from(steps.first().is_some_and(|s| s.gain > 0.0))))
}

struct Agent {
    world: Lookup,
    policy: Policy,
}

/// What training came to.
struct Trained {
    parameters: Vec<f64>,
    /// episodes until two-hop questions were answered
    episodes: usize,
    /// share of queries that were asked before in their episode
    repeated: f64,
}

impl Agent {
    fn new(aptness: f64, seed: u64) -> Result<Self, ToyError> {
        let base = Lookup::beginner(aptness).repeat(2);
        let (cells, shared) = (base.len(), STATES * TOKENS);
        let mut features = Vec::new();
        for cell in 0..cells {
            // one for the cell, one for its state and token whatever the hops, one for its token
            let mut row = vec![0.0; cells + shared + TOKENS];
            [cell, cells + cell % shared, cells + shared + cell % TOKENS].iter().for_each(|&i| row[i] = 1.0);
            features.extend(row);
        }
        let policy = Policy::log_linear(2 * STATES, base, &features)?;
        Ok(Self { world: Lookup::draw(&mut Stream::new(seed, 0)), policy })
    }

    /// Trains, if `staged` on questions of one hop until these are answered.
    fn train(&self, credit: Credit, staged: bool, random: &mut Stream) -> Result<Trained, ToyError> {
        let (mut parameters, mut rule) = (vec![0.0; self.policy.parameters()], Descent::adam(RATE));
        let (mut successes, mut reached) = (Vec::new(), None);
        let (mut repeated, mut searches, mut hops) = (0, 0, if staged { 1 } else { 2 });
        for update in 1..=UPDATES {
            let episodes = self.episodes(&parameters, hops, [BATCH / GROUP, GROUP], random)?;
            repeated += episodes.iter().map(|e| e.repeated).sum::<usize>();
            searches += episodes.iter().map(|e| e.searches.len()).sum::<usize>();
            successes.push(success(&episodes));
            if successes.len() >= 5 && successes[successes.len() - 5..].iter().sum::<f64>() >= 5.0 * 0.8 {
                if hops == 2 {
                    reached.get_or_insert(update * BATCH);
                } else {
                    (hops, successes) = (2, Vec::new());
                }
            }
            let (rows, advantages) = credit.advantages(&episodes)?;
            let (_, slopes) = gradient(&parameters, |x| {
                let rollout = rows.rollout(self.policy.logps(x)?)?.with_advantages(&advantages)?;
                Ok(bnpo(rollout, &Bnpo::default())?.mean()?)
            })?;
            rule.step(&mut parameters, &slopes)?;
        }
        let repeated = repeated as f64 / searches.max(1) as f64;
        Ok(Trained { parameters, episodes: reached.unwrap_or(UPDATES * BATCH), repeated })
    }

    fn report(&self, name: &str, trained: &Trained, random: &mut Stream, figures: &mut Figures) -> Result<(), ToyError> {
        let after = self.episodes(&trained.parameters, 2, [TEST_EPISODES, 1], random)?;
        let calls = after.iter().map(|e| e.searches.len()).sum::<usize>() as f64 / TEST_EPISODES as f64;
        figures.push(format!("episodes({name})"), "episodes", trained.episodes as f64);
        figures.push(format!("success({name})"), "", success(&after));
        figures.push(format!("calls({name})"), "searches", calls);
        figures.push(format!("repeated({name})"), "", trained.repeated);
        Ok(())
    }

    /// Episodes about some questions, a group for each.
    fn episodes(
        &self,
        parameters: &[f64],
        hops: usize,
        [questions, group]: [usize; 2],
        random: &mut Stream,
    ) -> Result<Vec<Episode>, ToyError> {
        let odds: Vec<f64> = self.policy.table(parameters)?.iter().map(|l| l.exp()).collect();
        let mut episodes = Vec::new();
        for _ in 0..questions {
            let question = Lookup::question(hops, random);
            episodes.extend((0..group).map(|_| self.world.play(question, &odds, random)));
        }
        Ok(episodes)
    }
}

/// The share of episodes with the right answer.
fn success(episodes: &[Episode]) -> f64 {
    episodes.iter().filter(|e| e.right).count() as f64 / episodes.len() as f64
}
