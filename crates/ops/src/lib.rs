//! Fused, differentiable CPU operations on dfdx tensors.
