"""Makes calls with litellm, one after the other. Reads {baseUrl, model, requests: [{messages, tools}], calls} as JSON from stdin;
prints per request what a call took, in milliseconds of time and of processor, as one line of JSON."""

import json
import sys
import time

import litellm


def measure(workload, request):
    def call():
        reply = litellm.completion(
            model=f"openai/{workload['model']}",
            api_base=workload["baseUrl"],
            api_key="none",
            messages=request["messages"],
            tools=request["tools"],
            temperature=0.6,
            num_retries=0,
        )
        return reply.choices[0].message.tool_calls[0].function.arguments

    for _ in range(workload["calls"] // 5):
        call()
    start, cpu = time.perf_counter(), time.process_time()
    for _ in range(workload["calls"]):
        call()
    wall_ms, cpu_ms = (1000 * (now - before) for now, before in ((time.perf_counter(), start), (time.process_time(), cpu)))
    return {"wallMs": wall_ms / workload["calls"], "cpuMs": cpu_ms / workload["calls"]}


workload = json.load(sys.stdin)
print(json.dumps([measure(workload, request) for request in workload["requests"]]), flush=True)
