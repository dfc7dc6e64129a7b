//! A table that answers searches, and questions that take one or two of them.

use tropism_policy_gradient::SearchRound;

use super::Stream;

pub(crate) const ENTITIES: usize = 20;
/// What an agent can write: see [`Token`].
pub(crate) const TOKENS: usize = 8;
/// States an agent writes in, and the one in which it reads results.
pub(crate) const STATES: usize = 17;
const READING: usize = STATES - 1;
const OTHER_QUERIES: f64 = 46.0;
const OTHER_ANSWERS: f64 = 18.0;
/// Tokens of a search result.
const RESULT: usize = 3;
const MOST_SEARCHES: usize = 5;

/// Tokens: four searches, of the question's entity or the one found last by the question's first or second relation; any
/// of the 46 other queries; three answers.
pub(crate) mod token {
    pub(crate) const OTHER_QUERY: usize = 4;
    pub(crate) const FOUND: usize = 5;
    pub(crate) const ASKED: usize = 6;
    pub(crate) const OTHER: usize = 7;
}

/// Two relations over twenty entities, each a cycle through all of them.
pub(crate) struct Lookup([Vec<usize>; 2]);

/// What an agent did about a question.
pub(crate) struct Episode {
    /// cells `(hops − 1, state, token)` in a row, with whether the agent wrote it
    pub(crate) tokens: Vec<(usize, bool)>,
    /// where the searches stand among the tokens
    pub(crate) searches: Vec<usize>,
    /// where the first result begins
    pub(crate) first_result: Option<usize>,
    pub(crate) rounds: Vec<SearchRound>,
    /// documents that would answer the question
    pub(crate) gold: usize,
    /// searches for what had been searched before
    pub(crate) repeated: usize,
    pub(crate) right: bool,
}

/// A question: an entity, the order of the relations, and how many of them.
#[derive(Clone, Copy)]
pub(crate) struct Question {
    entity: usize,
    relations: [usize; 2],
    hops: usize,
}

impl Lookup {
    pub(crate) fn draw(random: &mut Stream) -> Self {
        Self([0, 1].map(|_| {
            let (order, mut next) = (random.order(ENTITIES), vec![0; ENTITIES]);
            (0..ENTITIES).for_each(|i| next[order[i]] = order[(i + 1) % ENTITIES]);
            next
        }))
    }

    pub(crate) fn question(hops: usize, random: &mut Stream) -> Question {
        let first = random.below(2);
        Question { entity: random.below(ENTITIES), relations: [first, 1 - first], hops }
    }

    /// Logits of a beginner, for each state: what is in hand is `e^aptness` times as likely as any one other query or answer.
    pub(crate) fn beginner(aptness: f64) -> Vec<f64> {
        let logit = move |state: usize, token: usize| match token {
            token::OTHER_QUERY => OTHER_QUERIES.ln(),
            token::OTHER => OTHER_ANSWERS.ln(),
            // nothing has been found yet
            2 | 3 | token::FOUND if state == 0 => -10.0,
            _ => aptness,
        };
        (0..STATES).flat_map(|state| (0..TOKENS).map(move |token| logit(state, token))).collect()
    }

    /// Samples an episode from probabilities of the cells.
    pub(crate) fn play(&self, question: Question, odds: &[f64], random: &mut Stream) -> Episode {
        let path = self.path(question);
        let mut episode = Episode::new(question.hops);
        let (mut state, mut found, mut asked) = (0, None, Vec::new());
        while asked.len() < MOST_SEARCHES {
            let row = ((question.hops - 1) * STATES + state) * TOKENS;
            let token = random.pick(&odds[row..row + TOKENS]);
            episode.tokens.push((row + token, true));
            if token > token::OTHER_QUERY {
                let answer = self.result(path[question.hops - 1]);
                episode.right = match token {
                    token::FOUND => found == Some(answer),
                    token::ASKED => question.entity == answer,
                    _ => found != Some(answer) && random.chance(1.0 / OTHER_ANSWERS),
                };
                break;
            }
            let (query, document) = Self::query(token, question, found, random);
            episode.searches.push(episode.tokens.len() - 1);
            episode.repeated += usize::from(asked.contains(&query));
            episode.read(document, &path);
            asked.push(query);
            found = document.map(|d| self.result(d)).or(found);
            state = 1 + (asked.len().min(3) - 1) * 5 + token;
        }
        episode
    }

    /// What stands in a document; a document is a query, `2 · entity + relation`.
    fn result(&self, document: usize) -> usize {
        self.0[document % 2][document / 2]
    }

    /// The documents that lead to the answer.
    fn path(&self, question: Question) -> Vec<usize> {
        let first = 2 * question.entity + question.relations[0];
        let second = 2 * self.result(first) + question.relations[1];
        [first, second][..question.hops].to_vec()
    }

    /// A query by its token, and the document that it finds, if any.
    fn query(token: usize, question: Question, found: Option<usize>, random: &mut Stream) -> (usize, Option<usize>) {
        if token == token::OTHER_QUERY {
            // 36 about other entities, ten that find nothing
            let any = random.below(OTHER_QUERIES as usize);
            if any >= 36 {
                return (2 * ENTITIES + any, None);
            }
            let entity = (question.entity + 1 + random.below(ENTITIES - 1)) % ENTITIES;
            return (2 * entity + any % 2, Some(2 * entity + any % 2));
        }
        let entity = if token < 2 { Some(question.entity) } else { found };
        let document = entity.map(|e| 2 * e + question.relations[token % 2]);
        (document.unwrap_or(3 * ENTITIES + token), document)
    }
}

impl Episode {
    fn new(hops: usize) -> Self {
        let (tokens, searches, rounds) = (Vec::new(), Vec::new(), Vec::new());
        Self { tokens, searches, first_result: None, rounds, gold: hops, repeated: 0, right: false }
    }

    /// Appends the result of a search: names of entities, where it found a document.
    fn read(&mut self, document: Option<usize>, path: &[usize]) {
        let similar = |d: usize| path.iter().map(|&g| f64::from(u8::from(g == d))).collect();
        let similarities = document.map_or(Vec::new(), similar);
        self.rounds.push(SearchRound { documents: document.into_iter().collect(), similarities });
        if document.is_some() {
            let cell = ((self.gold - 1) * STATES + READING) * TOKENS + token::OTHER;
            self.first_result.get_or_insert(self.tokens.len());
            self.tokens.extend([(cell, false); RESULT]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays one token per state, the first by default.
    fn play(hops: usize, choices: &[(usize, usize)]) -> Episode {
        let mut odds = vec![0.0; 2 * STATES * TOKENS];
        (0..2 * STATES).for_each(|row| odds[row * TOKENS] = 1.0);
        for (state, token) in choices {
            let row = ((hops - 1) * STATES + state) * TOKENS;
            odds[row] = 0.0;
            odds[row + token] = 1.0;
        }
        let mut random = Stream::new(3, 0);
        let world = Lookup::draw(&mut random);
        world.play(Lookup::question(hops, &mut random), &odds, &mut random)
    }

    #[test]
    fn the_path_leads_to_the_answer() {
        // the question's entity by the first relation, what was found by the second, what was found
        let found = play(2, &[(1, 3), (9, token::FOUND)]);
        assert!(found.right && found.repeated == 0);
        assert_eq!((found.searches, found.first_result, found.tokens.len()), (vec![0, 4], Some(1), 9));
        assert_eq!([0, 1].map(|k| found.rounds[k].similarities[k]), [1.0; 2]);
        assert!(!play(2, &[(1, token::FOUND)]).right);
        assert!(play(1, &[(1, token::FOUND)]).right);
    }

    #[test]
    fn an_agent_that_only_searches_is_stopped() {
        let idle = play(2, &[]);
        assert_eq!((idle.searches.len(), idle.repeated, idle.right), (MOST_SEARCHES, MOST_SEARCHES - 1, false));
    }
}
