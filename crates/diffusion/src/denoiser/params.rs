//! Reaching a denoiser's parameters by name.
use super::layer::{Branch, Linear, Norm};
use dfdx::prelude::*;
use tropism_ops::{Param, Visit, VisitMut};

/// A parameter as it is stored.
pub enum Stored<'a, E: Dtype> {
    /// of rank 2
    Matrix(&'a Param<(usize, usize), E>),
    /// of rank 1
    Vector(&'a Param<(usize,), E>),
}

/// A parameter that may be changed.
pub enum StoredMut<'a, E: Dtype> {
    /// of rank 2
    Matrix(&'a mut Param<(usize, usize), E>),
    /// of rank 1
    Vector(&'a mut Param<(usize,), E>),
}

impl<E: Dtype> Stored<'_, E> {
    /// Whether training changes it.
    pub fn trained(&self) -> bool {
        match self {
            Stored::Matrix(p) => p.trained,
            Stored::Vector(p) => p.trained,
        }
    }

    /// How many numbers it has.
    pub fn len(&self) -> usize {
        match self {
            Stored::Matrix(p) => p.shape().num_elements(),
            Stored::Vector(p) => p.shape().num_elements(),
        }
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Shows the numbers to a visitor.
    ///
    /// # Errors
    /// The visitor's.
    pub fn show<V: Visit<E>>(&self, name: &str, v: &mut V) -> Result<(), V::Error> {
        match self {
            Stored::Matrix(p) => v.tensor(name, &p.values),
            Stored::Vector(p) => v.tensor(name, &p.values),
        }
    }
}

impl<E: Dtype> StoredMut<'_, E> {
    /// The mark that says whether training changes it.
    pub fn trained(&mut self) -> &mut bool {
        match self {
            StoredMut::Matrix(p) => &mut p.trained,
            StoredMut::Vector(p) => &mut p.trained,
        }
    }

    /// Shows the numbers to a visitor.
    ///
    /// # Errors
    /// The visitor's.
    pub fn show<V: VisitMut<E>>(&mut self, name: &str, v: &mut V) -> Result<(), V::Error> {
        match self {
            StoredMut::Matrix(p) => v.tensor(name, &mut p.values),
            StoredMut::Vector(p) => v.tensor(name, &mut p.values),
        }
    }
}

/// All parameters by name, in a fixed order.
pub type Names<'a, E> = Vec<(String, Stored<'a, E>)>;
/// All parameters by name for changing, in the same order.
pub type NamesMut<'a, E> = Vec<(String, StoredMut<'a, E>)>;

/// Something that lists its parameters.
pub(crate) trait Listed<E: Dtype> {
    fn list<'a>(&'a self, name: &str, to: &mut Names<'a, E>);
    fn list_mut<'a>(&'a mut self, name: &str, to: &mut NamesMut<'a, E>);
}

/// `listed!(Type { field: Kind, … })` lists the fields under their names.
macro_rules! listed {
    ($name:ident { $($field:ident: $kind:ident),* }) => {
        impl<E: Dtype> Listed<E> for $name<E> {
            fn list<'a>(&'a self, name: &str, to: &mut Names<'a, E>) {
                $( to.push((format!("{name}.{}", stringify!($field)), Stored::$kind(&self.$field))); )*
            }
            fn list_mut<'a>(&'a mut self, name: &str, to: &mut NamesMut<'a, E>) {
                $( to.push((format!("{name}.{}", stringify!($field)), StoredMut::$kind(&mut self.$field))); )*
            }
        }
    };
}
listed!(Linear { weight: Matrix, bias: Vector });
listed!(Norm { weight: Vector, bias: Vector });

impl<E: Dtype> Listed<E> for Branch<E> {
    fn list<'a>(&'a self, name: &str, to: &mut Names<'a, E>) {
        to.push((format!("{name}.weight"), Stored::Matrix(&self.0)));
    }
    fn list_mut<'a>(&'a mut self, name: &str, to: &mut NamesMut<'a, E>) {
        to.push((format!("{name}.weight"), StoredMut::Matrix(&mut self.0)));
    }
}

impl<E: Dtype, L: Listed<E>> Listed<E> for Option<L> {
    fn list<'a>(&'a self, name: &str, to: &mut Names<'a, E>) {
        if let Some(layer) = self {
            layer.list(name, to);
        }
    }
    fn list_mut<'a>(&'a mut self, name: &str, to: &mut NamesMut<'a, E>) {
        if let Some(layer) = self {
            layer.list_mut(name, to);
        }
    }
}

impl<E: Dtype, L: Listed<E>> Listed<E> for Vec<L> {
    fn list<'a>(&'a self, name: &str, to: &mut Names<'a, E>) {
        for (i, layer) in self.iter().enumerate() {
            layer.list(&format!("{name}.{i}"), to);
        }
    }
    fn list_mut<'a>(&'a mut self, name: &str, to: &mut NamesMut<'a, E>) {
        for (i, layer) in self.iter_mut().enumerate() {
            layer.list_mut(&format!("{name}.{i}"), to);
        }
    }
}
