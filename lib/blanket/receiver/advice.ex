defmodule Blanket.Receiver.Advice do
  @moduledoc false

  # Why a process got no table in time, and what to do, in words.

  alias Blanket.{Heir, Native, Rendezvous, Table}

  # How many tables are told about.
  @tables 3

  @doc """
  The advice for the calling process, which waited for `wanted`.
  """
  @spec text(Rendezvous.wanted(), timeout) :: String.t()
  def text(wanted, timeout) do
    kept = Native.kept() |> Enum.filter(&wanted?(wanted, &1)) |> Enum.sort_by(&(not mine?(&1)))

    "Blanket.receive_table: #{me()} waited for #{what(wanted)} for #{timeout} ms and got none. " <>
      if(kept == [], do: nothing(wanted), else: about(kept))
  end

  defp what(:any), do: "a table"
  defp what({:name, name}), do: "the table #{inspect(name)}"
  defp what({:ref, {_module, _owner, name}}), do: "the table #{inspect(name)}"
  defp what({:ref, ref}), do: "the table kept as #{show(ref)}"

  defp wanted?({:ref, ref}, {kept_as, _table, _keep}), do: kept_as === ref
  defp wanted?({:name, name}, {_ref, table, keep}), do: name === keep.name or name === table

  # Those that no process calls for by a term of its own, and that are not owned by others.
  defp wanted?(:any, {_ref, table, keep} = kept) do
    keep.module != nil and (mine?(kept) or Table.info(table, :owner) == :none)
  end

  defp mine?({_ref, _table, keep}), do: keep.owner in [self(), registered_name()]

  defp nothing(:any), do: "No kept table waits for an owner: call Blanket.new/4 first."

  defp nothing(_wanted),
    do: "No such table is kept: call Blanket.new/4 first, with the same name in its definition."

  defp about(kept) do
    {told, others} = Enum.split(kept, @tables)
    told = Enum.map_join(told, " ", fn {ref, table, keep} -> advice(ref, table, keep) end)
    if others == [], do: told, else: "#{told} (And #{length(others)} more tables wait.)"
  end

  defp advice(ref, table, keep), do: advice(ref, keep, Table.info(table, :owner), self())

  defp advice(_ref, keep, me, me),
    do: "This process owns the table #{inspect(keep.name)} already."

  defp advice(_ref, keep, owner, _me) when is_pid(owner) do
    "The table #{inspect(keep.name)} has an owner, #{process(owner)}: it is handed over when that exits."
  end

  defp advice(ref, %{module: nil}, _none, _me) do
    "The table kept as #{show(ref)} was claimed by this term: call Blanket.claim_table/2 with it."
  end

  defp advice(ref, keep, _none, me) do
    "The table #{inspect(keep.name)} waits for the process that " <>
      "#{inspect(keep.module)}.get_owner_pid(#{show(keep.owner)}) finds" <>
      case registered(keep.owner) do
        {:ok, nil} ->
          ", and none has that name: register the process before it calls " <>
            "Blanket.receive_table, for example with " <>
            "GenServer.start_link(module, arg, name: #{show(keep.owner)})."

        {:ok, ^me} ->
          ", and that is this process, so " <> heir(Heir.whereis(ref))

        {:ok, pid} ->
          ", and that is another process, #{process(pid)}."

        :unknown ->
          ": it has to find this process before this calls Blanket.receive_table."
      end
  end

  defp heir(nil), do: "its heir is missing: see that the :blanket application runs."
  defp heir(heir), do: "its heir #{inspect(heir)} did not get to it: wait longer."

  # Only names that can be looked up without calling a process.
  defp registered(name) when is_atom(name), do: {:ok, Blanket.get_owner_pid(name)}
  defp registered(pid) when is_pid(pid), do: {:ok, pid}
  defp registered({:global, name}), do: {:ok, Blanket.get_owner_pid({:global, name})}

  defp registered({:via, Registry, {registry, _key}} = name) when is_atom(registry),
    do: if(Process.whereis(registry), do: {:ok, Blanket.get_owner_pid(name)}, else: :unknown)

  defp registered(_owner), do: :unknown

  defp me, do: process(self())

  defp process(pid) do
    case Process.info(pid, :registered_name) do
      {:registered_name, name} when name != [] -> "#{inspect(pid)} (#{inspect(name)})"
      _ when pid == self() -> "#{inspect(pid)} (registered under no name)"
      _ -> inspect(pid)
    end
  end

  defp registered_name do
    case Process.info(self(), :registered_name) do
      {:registered_name, name} when name != [] -> name
      _ -> self()
    end
  end

  defp show(term), do: inspect(term, limit: 10, printable_limit: 100)
end
