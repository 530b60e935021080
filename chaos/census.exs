defmodule Chaos.Census do
  # What there is when all owners are gone and their tables are deleted: it has to be what there was when
  # as much had happened before.

  alias Blanket.{Rendezvous, Table}
  alias Chaos.Findings

  @megabyte 1024 * 1024
  # What the VM and the operating system may have more of, in bytes, after a round as after the one
  # before: lists of free memory, tables of atoms and code, and what readers may still have been at.
  @slack_vm 4 * @megabyte
  @slack_os 48 * @megabyte
  # Seconds for what is freed in the background.
  @patience 60

  defstruct [:processes, :tables, :rows, :vm, :os]

  @doc "Counts, as soon as all is as `before`, or when it will not be any more."
  def take(before \\ nil), do: take(before, now() + @patience)

  defp take(before, deadline) do
    census = count()

    if settled?(before, census) or now() > deadline do
      census
    else
      Process.sleep(100)
      take(before, deadline)
    end
  end

  # Nothing goes away any more.
  defp settled?(nil, census) do
    Process.sleep(500)
    later = count()
    later.processes == census.processes and later.vm > census.vm - div(@megabyte, 4)
  end

  defp settled?(before, census), do: complaints(before, census) == []

  defp count do
    for pid <- Process.list(), do: :erlang.garbage_collect(pid)

    %__MODULE__{
      processes: Process.list() |> Enum.map(&kind/1) |> Enum.frequencies(),
      tables: length(Table.all()),
      rows: Rendezvous |> Table.tab2list() |> Enum.frequencies_by(&row/1),
      vm: :erlang.memory(:total),
      os: resident()
    }
  end

  @doc "Bytes of memory that the operating system has given to this node."
  def resident do
    [_, pages | _] = "/proc/self/statm" |> File.read!() |> String.split()
    String.to_integer(pages) * 4096
  end

  defp kind(pid) do
    case Process.info(pid, [:registered_name, :initial_call, :dictionary]) do
      nil -> :exiting
      [registered_name: name, initial_call: _, dictionary: _] when name != [] -> name
      [_, initial_call: call, dictionary: dictionary] -> dictionary[:"$initial_call"] || call
    end
  end

  # A process that was killed while it waited leaves its row to the next that passes by.
  defp row({pid, _, _}) when is_pid(pid), do: if(Process.alive?(pid), do: :waiting, else: :dead)
  defp row({{kind, _}, _}), do: kind

  @doc "Finds what there is more of than `before`."
  def compare(before, now),
    do: for({what, about} <- complaints(before, now), do: Findings.add(what, about))

  defp complaints(before, now) do
    exact =
      for {what, key} <- [{"processes left", :processes}, {"tables left", :tables}],
          {was, is} = {Map.get(before, key), Map.get(now, key)},
          was != is,
          do: {what, %{before: was, now: is}}

    rows = Map.delete(now.rows, :dead)
    rows = if rows == %{}, do: [], else: [{"rows left", rows}]

    memory =
      for {what, key, slack} <- [
            {"memory left", :vm, @slack_vm},
            {"memory of the OS left", :os, @slack_os}
          ],
          {was, is} = {Map.get(before, key), Map.get(now, key)},
          is > was + slack,
          do: {what, %{before: was, now: is}}

    exact ++ rows ++ memory
  end

  def describe(census) do
    mb = &:erlang.float_to_binary(&1 / @megabyte, decimals: 1)
    processes = census.processes |> Map.values() |> Enum.sum()

    "#{processes} processes, #{census.tables} table, #{Map.get(census.rows, :dead, 0)} stale rows, " <>
      "#{mb.(census.vm)} MB in the VM, #{mb.(census.os)} MB in the OS"
  end

  defp now, do: System.monotonic_time(:second)
end
