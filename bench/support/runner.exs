defmodule Bench.Runner do
  @moduledoc """
  Runs a workload: the subjects take turns, A B A B, in rounds.

  Each subject has a process of its own, which makes its tables and lives through all rounds. It collects
  its garbage before the clock runs, and its heap is large enough for what is alive. The first round warms
  up, and is the one after which the tables are compared; results are compared in every round.
  """

  alias Bench.{Row, Statistics, Workload}

  def run(%Workload{} = workload, settings, progress),
    do: run(workload, Workload.subjects(workload), settings, progress)

  def run(workload, subjects, settings, progress) do
    progress.("preparing")
    prepare(workload)
    workers = for {name, loops, options} <- subjects, do: {name, worker(workload, loops, options)}
    progress.("warming up")
    {time, warm} = :timer.tc(fn -> round(workers, :first) end)
    check(workload, warm)
    rounds = rounds(workload, settings, time)

    times =
      for n <- 1..rounds do
        progress.("round #{n} of #{rounds}")
        answers = round(if(rem(n, 2) == 0, do: Enum.reverse(workers), else: workers), :next)
        check(workload, answers)
        for {name, {time, _result, _contents}} <- answers, into: %{}, do: {name, time}
      end

    for {_name, worker} <- workers, do: stop(worker)
    row(workload, workers, times)
  end

  defp row(workload, workers, times) do
    calls = workload.calls * workload.times

    %Row{
      group: workload.group,
      size: workload.size,
      name: workload.name,
      unit: "ns",
      figures:
        for({name, _} <- workers, do: {name, Statistics.of(Enum.map(times, &(&1[name] / calls)))}),
      goal: workload.goal && {:ratio, workload.goal},
      others: workload.others,
      note: workload.note
    }
  end

  # In a process of its own, which leaves no garbage.
  defp prepare(workload) do
    fn ->
      workload.data.()
      :ok
    end
    |> Task.async()
    |> Task.await(:infinity)
  end

  # As many as fit in the time that a workload may take.
  defp rounds(workload, settings, time) do
    {least, most} = settings.rounds
    least = min(least, workload.rounds || least)
    (settings.time / time) |> round() |> max(least) |> min(most)
  end

  defp check(workload, answers) do
    case Enum.uniq_by(answers, fn {_name, {_time, result, contents}} -> {result, contents} end) do
      [_] ->
        :ok

      differing ->
        answers =
          for {name, {_time, result, contents}} <- differing,
              do: "\n  #{name}: #{inspect({result, contents}, limit: 10)}"

        raise "#{workload.name}: the results differ#{answers}"
    end
  end

  defp round(workers, which) do
    for {name, worker} <- workers do
      send(worker, {which, self()})
      receive do: ({^worker, answer} -> {name, answer})
    end
  end

  defp stop(worker) do
    monitor = Process.monitor(worker)
    send(worker, :stop)
    receive do: ({:DOWN, ^monitor, _, _, _} -> Bench.Quiet.await())
  end

  defp worker(workload, loops, options) do
    setup = fn -> workload.setup.(loops, options) end

    work = fn ->
      kept = if workload.once, do: setup.()
      work(workload, loops, setup, kept)
    end

    :erlang.spawn_opt(work, [:link, min_heap_size: workload.heap])
  end

  defp work(workload, loops, setup, kept) do
    receive do
      {which, from} ->
        {time, digest, contents} =
          if workload.once do
            timed(workload, loops, List.duplicate(kept, workload.times), which)
          else
            tables = for _ <- 1..workload.times, do: setup.()
            Bench.Quiet.await()
            answer = timed(workload, loops, tables, which)
            for t <- tables, t != nil, do: loops.drop(t)
            answer
          end

        send(from, {self(), {time, digest, contents}})
        work(workload, loops, setup, kept)

      :stop ->
        if kept, do: loops.drop(kept)
    end
  end

  defp timed(workload, loops, tables, which) do
    data = workload.data.()
    run = workload.run
    :erlang.garbage_collect()
    start = System.monotonic_time()
    result = each(tables, run, loops, data, nil)
    stop = System.monotonic_time()
    digest = workload.digest.(result)
    contents = if which == :first and workload.contents, do: loops.contents(hd(tables))
    {System.convert_time_unit(stop - start, :native, :nanosecond), digest, contents}
  end

  # Comes to the last result.
  defp each([], _run, _loops, _data, result), do: result

  defp each([t | tables], run, loops, data, _result),
    do: each(tables, run, loops, data, run.(loops, t, data))
end
