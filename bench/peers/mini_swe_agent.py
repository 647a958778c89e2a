"""Runs agents of mini-swe-agent on the bench's workload: its own agent, LiteLLM model, and Docker or SWE-ReX environment,
as its SWE-bench configuration sets them up. Reads the workload as JSON from stdin; prints what was measured as one line of JSON."""

import json
import os
import resource
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import yaml
from minisweagent.agents.default import DefaultAgent
from minisweagent.config import builtin_config_dir
from minisweagent.environments.docker import DockerEnvironment
from minisweagent.environments.extra.swerex_docker import SwerexDockerEnvironment
from minisweagent.models.litellm_model import LitellmModel

CONFIG = yaml.safe_load((builtin_config_dir / "benchmarks" / "swebench.yaml").read_text())


class TimedAgent(DefaultAgent):
    """Notes when each step begins; the call that finds the step limit reached ends the last one."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.starts = []

    def step(self):
        self.starts.append(time.perf_counter())
        return super().step()

    def step_ms(self):
        return [(end - start) * 1000 for start, end in zip(self.starts, self.starts[1:])]


def start_environment(workload):
    config = CONFIG["environment"]
    env = {name: value for name, value in config["env"].items() if name != "BASH_ENV"} | {"HOME": "/home/agent"}
    common = {"image": workload["imageId"], "cwd": config["cwd"], "timeout": config["timeout"]}
    if workload["overSweRex"]:
        arguments = workload["runArguments"] + [f"--env={name}={value}" for name, value in env.items()]
        return SwerexDockerEnvironment(**common, deployment_extra_kwargs={"docker_args": arguments, "pull": "never"})
    return DockerEnvironment(
        **common,
        interpreter=config["interpreter"],
        env=env,
        run_args=["--rm", *workload["runArguments"]],
        container_timeout="30m",
    )


def run_agent(workload, environment, steps):
    model = LitellmModel(
        model_name=f"openai/{workload['teacher']['model']}",
        model_kwargs={"api_base": workload["teacher"]["baseUrl"], "api_key": "none", "drop_params": True},
        observation_template=CONFIG["model"]["observation_template"],
        format_error_template=CONFIG["model"]["format_error_template"],
        cost_tracking="ignore_errors",
    )
    agent = TimedAgent(
        model,
        environment,
        system_template=CONFIG["agent"]["system_template"],
        instance_template=CONFIG["agent"]["instance_template"],
        step_limit=steps,
        cost_limit=0,
    )
    status = agent.run(workload["task"])["exit_status"]
    if status not in ("LimitsExceeded", "Submitted"):
        raise RuntimeError(f"an agent ended as {status}")
    return agent.step_ms()


def cpu_ms():
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return 1000 * sum(each.ru_utime + each.ru_stime for each in used)


def main():
    workload = json.load(sys.stdin)
    with ThreadPoolExecutor(workload["concurrency"]) as pool:
        environments = list(pool.map(lambda _: start_environment(workload), range(workload["rollouts"])))
        run_agent(workload, environments[0], workload["warmUpSteps"])
        cpu_before, start = cpu_ms(), time.perf_counter()
        step_ms = list(pool.map(lambda each: run_agent(workload, each, workload["steps"]), environments))
        wall_ms, cpu_after = (time.perf_counter() - start) * 1000, cpu_ms()
    print(
        json.dumps(
            {
                "wallMs": wall_ms,
                "cpuMs": cpu_after - cpu_before,
                "stepMs": [each for steps in step_ms for each in steps],
            }
        ),
        flush=True,
    )
    os._exit(0)  # whoever started us removes the containers; waiting for one stop after the other takes long


if __name__ == "__main__":
    main()
