//! Settings as read from files.

use tropism_worlds::{Lookup, LookupConfig, Slips, Sokoban, SokobanConfig};

fn boxes(text: &str) -> Result<SokobanConfig, toml::de::Error> {
    toml::from_str(text)
}

fn questions(text: &str) -> Result<LookupConfig, toml::de::Error> {
    toml::from_str(text)
}

#[test]
fn settings_are_read_and_written() {
    let config = boxes("width = 5\nwalls = 2\nslips = 0.5\nshaped = true").unwrap();
    assert_eq!(config, SokobanConfig { width: 5, walls: 2, slips: 0.5, shaped: true, ..SokobanConfig::default() });
    assert_eq!(boxes(&toml::to_string(&config).unwrap()).unwrap(), config);
    assert_eq!(Sokoban::new(config.clone()).unwrap().config(), &config);
    assert_eq!(boxes("").unwrap(), SokobanConfig::default());

    let config = questions("hops = [3, 1]\nseed = 9\n[slips]\nguess = 0.5\nwrong = 0.0").unwrap();
    let slips = Slips { guess: 0.5, wrong: 0.0, ..Slips::default() };
    assert_eq!(config, LookupConfig { hops: vec![3, 1], seed: 9, slips, ..LookupConfig::default() });
    assert_eq!(questions(&toml::to_string(&config).unwrap()).unwrap(), config);
    assert_eq!(Lookup::new(config.clone()).unwrap().config(), &config);
    assert_eq!(questions("").unwrap(), LookupConfig::default());
}

#[test]
fn unknown_keys_are_refused() {
    for text in ["boxes = 2", "max_turn = 3", "width = -1", "slips = \"many\""] {
        assert!(boxes(text).is_err(), "{text}");
    }
    for text in ["person = 2", "[slips]\nlate = 0.1", "hops = 2"] {
        assert!(questions(text).is_err(), "{text}");
    }
}

#[test]
fn bad_values_are_named() {
    let cases = [
        ("width = 2", "`width` is 2"),
        ("height = 9", "`height` is 9"),
        ("walls = 7", "`walls` is 7"),
        ("tasks = 0", "`tasks` is 0"),
        ("tasks = 5001", "`tasks` is 5001"),
        ("min_moves = 0", "`min_moves` is 0"),
        ("min_moves = 7", "`max_moves` is 6"),
        ("max_turns = 5", "`max_turns` is 5"),
        ("max_turns = 101", "`max_turns` is 101"),
        ("slips = 1.5", "`slips` is 1.5"),
        ("slips = nan", "`slips` is NaN"),
        // No board of the default size takes so many moves.
        ("min_moves = 10\nmax_moves = 20\nmax_turns = 20", "`min_moves` is 10"),
    ];
    for (text, part) in cases {
        let message = Sokoban::new(boxes(text).unwrap()).unwrap_err().to_string();
        assert!(message.contains(part) && message.contains("`sokoban`"), "{text}: {message}");
    }
    let cases = [
        ("people = 2", "`people` is 2"),
        ("people = 41", "`people` is 41"),
        ("hops = []", "`hops` is []"),
        ("hops = [2, 2]", "`hops` is [2, 2]"),
        ("hops = [1, 4]", "`hops` is [1, 4]"),
        ("hops = [0]", "`hops` is [0]"),
        ("max_searches = 1", "`max_searches` is 1"),
        ("max_searches = 21", "`max_searches` is 21"),
        ("slips.early = -0.1", "`slips.early` is -0.1"),
        ("slips.wrong = nan", "`slips.wrong` is NaN"),
        ("slips.repeated = inf", "`slips.repeated` is inf"),
        ("slips.guess = 0.9", "`slips` is 1.45"),
    ];
    for (text, part) in cases {
        let message = Lookup::new(questions(text).unwrap()).unwrap_err().to_string();
        assert!(message.contains(part) && message.contains("`lookup`"), "{text}: {message}");
    }
}

#[test]
fn the_largest_settings_are_quick_enough() {
    let config = boxes("width = 8\nheight = 8\nwalls = 12\ntasks = 300\nmax_moves = 30\nmax_turns = 30").unwrap();
    assert_eq!(Sokoban::new(config).unwrap().config().width, 8);
    let all = Lookup::new(questions("people = 40\nhops = [1, 2, 3]\nmax_searches = 20").unwrap()).unwrap();
    assert_eq!(tropism_worlds::AgentWorld::tasks(&all).len(), 560);
}
