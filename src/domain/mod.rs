//! The glossary as types: nouns of the product and the pure rules over them.
