"""Writes diffusion.json: steps of the samplers of `diffusers` on generated cases (pip install diffusers torch; python diffusion.py).

The schedulers' f32 arrays are replaced by f64 ones made by the same formulas, after a check that both agree."""
import json
import math
import pathlib
import random

import diffusers
import torch
from diffusers import DDIMScheduler, DDPMScheduler, FlowMatchEulerDiscreteScheduler
from diffusers.schedulers.scheduling_ddim import rescale_zero_terminal_snr

KINDS = {"linear": "linear", "scaled_linear": "scaled_linear", "cosine": "squaredcos_cap_v2"}
PREDICTIONS = {"noise": "epsilon", "data": "sample", "v": "v_prediction"}
STEPS, ROWS, DIMS = 1000, 2, 2


def betas(kind):
    if kind == "linear":
        return torch.linspace(1e-4, 0.02, STEPS, dtype=torch.float64)
    if kind == "scaled_linear":
        return torch.linspace(math.sqrt(0.00085), math.sqrt(0.012), STEPS, dtype=torch.float64) ** 2
    f = [math.cos((t / STEPS + 0.008) / 1.008 * math.pi / 2) ** 2 for t in range(STEPS + 1)]
    return torch.tensor([min(1 - f[t + 1] / f[t], 0.999) for t in range(STEPS)], dtype=torch.float64)


def ends(kind):
    return {"beta_start": 0.00085, "beta_end": 0.012} if kind == "scaled_linear" else {}


def in_f64(scheduler, kind, zero):
    exact = betas(kind)
    exact = rescale_zero_terminal_snr(exact) if zero else exact
    scheduler_f32 = scheduler.alphas_cumprod.clone()
    scheduler.betas, scheduler.alphas = exact, 1 - exact
    scheduler.alphas_cumprod = torch.cumprod(1 - exact, dim=0)
    assert torch.allclose(scheduler_f32.double(), scheduler.alphas_cumprod, rtol=1e-4, atol=1e-6), kind
    return scheduler


def drawn(seed):
    return torch.randn(ROWS, DIMS, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def flat(x):
    return x.flatten().tolist()


def diffusion(name, i, kind, prediction, samples, zero=False, eta=0.0, to_data=True, variance="fixed_small"):
    common = dict(beta_schedule=KINDS[kind], prediction_type=PREDICTIONS[prediction], clip_sample=False,
                  rescale_betas_zero_snr=zero, timestep_spacing="trailing" if zero else "leading", **ends(kind))
    if name == "ddpm":
        scheduler = DDPMScheduler(variance_type=variance, **common)
    else:
        scheduler = DDIMScheduler(set_alpha_to_one=to_data, **common)
    in_f64(scheduler, kind, zero)
    if name != "ddpm":
        scheduler.final_alpha_cumprod = torch.tensor(1.0, dtype=torch.float64) if to_data else scheduler.alphas_cumprod[0]
    scheduler.set_timesteps(samples)
    x, steps = drawn(1000 + i), []
    start = flat(x)
    for k, t in enumerate(scheduler.timesteps.tolist()):
        output, seed = drawn(2000 + 50 * i + k), 9000 + 50 * i + k
        if name == "ddpm":
            noise = drawn(seed)
            x = scheduler.step(output, t, x, generator=torch.Generator().manual_seed(seed)).prev_sample
        else:
            noise = drawn(seed)
            x = scheduler.step(output, t, x, eta=eta, variance_noise=noise if eta > 0 else None).prev_sample
        steps.append({"t": t, "output": flat(output), "noise": flat(noise), "next": flat(x)})
    probes = [0, 1, 249, 499, 749, 998, 999]
    return {"sampler": name, "schedule": kind, "prediction": prediction, "zero_terminal_snr": zero, "eta": eta,
            "to_data": to_data, "variance": {"fixed_small": "posterior", "fixed_large": "forward"}[variance],
            "alphas_bar": [[t, scheduler.alphas_cumprod[t].item()] for t in probes], "start": start, "steps": steps}


def flow(i, times):
    scheduler = FlowMatchEulerDiscreteScheduler()
    scheduler.set_timesteps(sigmas=times[:-1])
    scheduler.sigmas = torch.tensor(times, dtype=torch.float64)
    x, steps = drawn(1000 + i), []
    start = flat(x)
    for k, t in enumerate(scheduler.timesteps):
        output = drawn(2000 + 50 * i + k)
        x = scheduler.step(output, t, x).prev_sample
        steps.append({"t": times[k], "output": flat(output), "next": flat(x)})
    return {"sampler": "euler", "times": times, "start": start, "steps": steps}


def main():
    rng, kinds, predictions = random.Random(7), list(KINDS), list(PREDICTIONS)
    ddpm = [diffusion("ddpm", i, kinds[i % 3], predictions[(i // 3) % 3], rng.choice([3, 4, 5]),
                      variance=["fixed_small", "fixed_large"][i % 2]) for i in range(10)]
    ddim = [diffusion("ddim", 10 + i, kinds[i % 3], predictions[(i // 3) % 3], rng.choice([3, 4, 5]),
                      eta=[0.0, 0.5, 1.0][rng.randrange(3)], to_data=i % 4 != 3) for i in range(10)]
    zero = [diffusion("ddim", 20 + i, kinds[i % 2], ["v", "data"][i % 2 if i < 4 else (i // 2) % 2], rng.choice([4, 5]),
                      zero=True, eta=[0.0, 1.0][rng.randrange(2)]) for i in range(10)]
    grids = [[1 - k / n for k in range(n)] + [0.0] for n in (1, 3, 4, 5, 6)]
    grids += [sorted((rng.uniform(0.05, 1) for _ in range(4)), reverse=True) + [0.0] for _ in range(5)]
    euler = [flow(30 + i, times) for i, times in enumerate(grids)]
    made = {"diffusers": diffusers.__version__, "rows": ROWS, "ddpm": ddpm, "ddim": ddim, "zero_terminal_snr": zero, "euler": euler}
    text = "{\n" + ",\n".join(
        json.dumps(k) + ": " + ("[\n" + ",\n".join(json.dumps(c) for c in v) + "\n]" if isinstance(v, list) else json.dumps(v))
        for k, v in made.items()) + "\n}\n"
    pathlib.Path(__file__).with_suffix(".json").write_text(text)


main()
