//! Tokens to a tree, by recursive descent with a limit on the depth.

mod expressions;
mod statements;

use super::lexer::{Located, Token, tokens};
use super::syntax::File;

/// Deepest nesting of expressions and blocks together. Inlined programs reach about thirty.
const MAX_DEPTH: usize = 100;

type Result<T> = std::result::Result<T, (u32, String)>;

/// Parses a file of `code/`. An error holds the line and what is wrong with it.
pub(super) fn parse(source: &str) -> Result<File> {
    let mut parser = Parser {
        tokens: tokens(source)?,
        position: 0,
        depth: 0,
    };
    parser.file()
}

struct Parser {
    tokens: Vec<Located>,
    position: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        &self.tokens[self.position].0
    }

    fn line(&self) -> u32 {
        self.tokens[self.position].1
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        // The last token is `End`, which is never passed.
        self.position = (self.position + 1).min(self.tokens.len() - 1);
        token
    }

    fn error<T>(&self, expected: &str) -> Result<T> {
        Err((
            self.line(),
            format!("expected {expected}, found {:?}", self.peek()),
        ))
    }

    fn at(&self, mark: &str) -> bool {
        matches!(self.peek(), Token::Mark(found) if *found == mark)
    }

    fn at_name(&self, word: &str) -> bool {
        matches!(self.peek(), Token::Name(found) if found == word)
    }

    fn accept(&mut self, mark: &str) -> bool {
        let found = self.at(mark);
        if found {
            self.next();
        }
        found
    }

    fn accept_name(&mut self, word: &str) -> bool {
        let found = self.at_name(word);
        if found {
            self.next();
        }
        found
    }

    fn expect(&mut self, mark: &str) -> Result<()> {
        if self.accept(mark) {
            Ok(())
        } else {
            self.error(&format!("`{mark}`"))
        }
    }

    fn name(&mut self) -> Result<String> {
        let Token::Name(name) = self.peek() else {
            return self.error("a name");
        };
        let name = name.clone();
        self.next();
        Ok(name)
    }

    fn newline(&mut self) -> Result<()> {
        match self.peek() {
            Token::Newline => {
                self.next();
                Ok(())
            }
            Token::End => Ok(()),
            _ => self.error("the end of the line"),
        }
    }

    /// Runs `parse` one level deeper.
    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth >= MAX_DEPTH {
            return Err((self.line(), format!("nests deeper than {MAX_DEPTH} levels")));
        }
        self.depth += 1;
        let result = parse(self);
        self.depth -= 1;
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_methods_and_statements_parse() {
        let source = r#"class Net(Module):
  __parameters__ = ["weight", ]
  weight : Tensor
  stride : Final[Tuple[int, int]] = (2, 2)
  __annotations__["0"] = __torch__.x.Conv
  def forward(self: __torch__.Net,
    x: Tensor,
    *,
    y: Optional[Tensor]=None) -> Tuple[Tensor, Tensor]:
    a, b, = (getattr(self, "0")).forward(x, )
    if torch.gt(a, 1) or not b:
      c = [1, -2.5, a if b else None][0]
    else:
      pass
    for i in range(3):
      d = {"k": x, }
    while True:
      break
    return (a, b)
def free(x: List[int]=[0, 0]) -> NoneType:
  return None
"#;
        let file = parse(source).unwrap();
        let class = &file.classes[0];
        assert_eq!(
            (class.name.as_str(), class.base.as_str()),
            ("Net", "Module")
        );
        assert_eq!(class.methods[0].parameters.len(), 3);
        assert_eq!(class.methods[0].body.len(), 5);
        assert_eq!(class.methods[0].body[1].line, 11);
        assert_eq!(file.functions[0].name, "free");
    }

    #[test]
    fn damage_and_depth_are_errors_with_their_line() {
        for (source, line) in [
            ("x = 1\n", 1),
            ("def f():\n  return (1\n", 2),
            ("def f():\n  a b\n", 2),
            ("def f():\n", 1),
            ("class A(\n", 1),
        ] {
            assert_eq!(parse(source).unwrap_err().0, line, "{source:?}");
        }
        for part in ["(", "[", "-", "not ", "a.b(", "{1:"] {
            let source = format!("def f():\n  x = {}1\n", part.repeat(100_000));
            assert!(parse(&source).unwrap_err().1.contains("deeper"), "{part}");
        }
        for part in ["+ 1", ".a", "(1)", " and 1"] {
            let source = format!("def f():\n  x = y{}\n", part.repeat(100_000));
            assert!(parse(&source).unwrap_err().1.contains("chains"), "{part}");
        }
    }
}
