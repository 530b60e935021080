defmodule Chaos.Gate do
  # Writers and readers pass here before whatever they do. When it is closed they wait, so that what is in
  # the tables can be looked at.

  use GenServer

  def start_link(_), do: GenServer.start_link(__MODULE__, nil, name: __MODULE__)

  def pass do
    if :persistent_term.get(__MODULE__) |> :atomics.get(1) == 1,
      do: GenServer.call(__MODULE__, :pass, :infinity)
  end

  @doc "Closes the gate, and answers how many wait there."
  def close, do: GenServer.call(__MODULE__, :close)

  def waiting, do: GenServer.call(__MODULE__, :waiting)

  def open, do: GenServer.call(__MODULE__, :open)

  @impl true
  def init(nil) do
    closed = :atomics.new(1, [])
    :persistent_term.put(__MODULE__, closed)
    {:ok, {closed, %{}}}
  end

  @impl true
  def handle_call(:pass, {pid, _} = from, {closed, waiting}) do
    if :atomics.get(closed, 1) == 1 do
      Process.monitor(pid)
      {:noreply, {closed, Map.put(waiting, pid, from)}}
    else
      {:reply, :ok, {closed, waiting}}
    end
  end

  def handle_call(:close, _from, {closed, waiting}) do
    :atomics.put(closed, 1, 1)
    {:reply, :ok, {closed, waiting}}
  end

  def handle_call(:waiting, _from, {_, waiting} = state), do: {:reply, Map.keys(waiting), state}

  def handle_call(:open, _from, {closed, waiting}) do
    :atomics.put(closed, 1, 0)
    for {_, from} <- waiting, do: GenServer.reply(from, :ok)
    {:reply, :ok, {closed, %{}}}
  end

  @impl true
  def handle_info({:DOWN, _, :process, pid, _}, {closed, waiting}),
    do: {:noreply, {closed, Map.delete(waiting, pid)}}

  def handle_info(_junk, state), do: {:noreply, state}
end
