//! Cuts a text into the tokens that the grammar of numbers works on.

use super::Number;

/// Most digits a whole number may have to be sure to fit in an `i64`.
const MOST_DIGITS: usize = 18;

/// A token; white space and hyphens inside words leave none.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A number in digits, without its sign.
    Digits(Number),
    /// A word in lower case, or something of letters and digits that is no number.
    Word(String),
    /// A hyphen or minus sign directly before a number or a word.
    Minus,
    /// Anything else: it ends a number.
    Break,
}

/// The tokens of `text`.
pub(super) fn scan(text: &str) -> Vec<Token> {
    let mut scanner = Scanner { chars: text.chars().collect(), at: 0 };
    let mut tokens = Vec::new();
    while let Some(char) = scanner.char(0) {
        tokens.extend(scanner.token(char));
    }
    tokens
}

struct Scanner {
    chars: Vec<char>,
    at: usize,
}

impl Scanner {
    fn char(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn previous(&self) -> Option<char> {
        self.at.checked_sub(1).map(|index| self.chars[index])
    }

    fn is_digit(&self, ahead: usize) -> bool {
        self.char(ahead).is_some_and(|char| char.is_ascii_digit())
    }

    /// Takes the token that starts here, or steps over what leaves none.
    fn token(&mut self, char: char) -> Option<Token> {
        if char.is_alphanumeric() {
            return Some(self.run());
        }
        if char == '.' && self.is_digit(1) && self.previous() != Some('.') {
            // ".5": a fraction without its zero.
            self.fraction();
            return Some(Token::Digits(Number::Other));
        }
        let token = match char {
            '-' | '−' => self.hyphen(),
            _ if char.is_whitespace() => None,
            _ => Some(Token::Break),
        };
        self.at += 1;
        token
    }

    fn hyphen(&self) -> Option<Token> {
        let letter = |char: Option<char>| char.is_some_and(char::is_alphabetic);
        let (before, after) = (self.previous(), self.char(1));
        if letter(before) {
            // "twenty-three" is one number; "part-5" is no negative one.
            return if letter(after) { None } else { Some(Token::Break) };
        }
        if letter(after) || self.is_digit(1) {
            return Some(Token::Minus);
        }
        Some(Token::Break)
    }

    /// A run of letters and digits: a number, a word, or a mixture that counts as a word.
    fn run(&mut self) -> Token {
        let start = self.at;
        if self.is_digit(0) {
            let number = self.digits();
            if !self.char(0).is_some_and(char::is_alphanumeric) {
                return Token::Digits(number);
            }
        }
        loop {
            match self.char(0) {
                Some(char) if char.is_alphanumeric() => self.at += 1,
                Some('\'' | '’') if self.char(1).is_some_and(char::is_alphabetic) => self.at += 1,
                _ => break,
            }
        }
        let word: String = self.chars[start..self.at].iter().collect();
        Token::Word(word.to_lowercase())
    }

    /// `12`, `1,234`, `12.50`.
    fn digits(&mut self) -> Number {
        let start = self.at;
        self.digit_run();
        if self.at - start <= 3 {
            while self.char(0) == Some(',') && (1..=3).all(|ahead| self.is_digit(ahead)) && !self.is_digit(4) {
                self.at += 4;
            }
        }
        let digits: String = self.chars[start..self.at].iter().filter(|char| char.is_ascii_digit()).collect();
        let whole = self.fraction();
        let significant = digits.trim_start_matches('0');
        if !whole || significant.len() > MOST_DIGITS {
            return Number::Other;
        }
        // No digit left means a row of zeros.
        Number::Whole(significant.parse().unwrap_or(0))
    }

    /// Steps over `.50` (and `.5.7` of version numbers); whether what it adds is zero.
    fn fraction(&mut self) -> bool {
        let (mut dots, mut zero) = (0, true);
        while self.char(0) == Some('.') && self.is_digit(1) {
            self.at += 1;
            let start = self.at;
            self.digit_run();
            zero &= self.chars[start..self.at].iter().all(|&char| char == '0');
            dots += 1;
        }
        zero && dots <= 1
    }

    fn digit_run(&mut self) {
        while self.is_digit(0) {
            self.at += 1;
        }
    }
}
